ALTER TABLE audit_log ADD KEY audit_log_time (created_at)
