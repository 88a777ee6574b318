ALTER TABLE validations ADD KEY validations_open (status, expires_at)
