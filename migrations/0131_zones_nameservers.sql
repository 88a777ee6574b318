-- the version of the platform's nameservers that the zone has at least; lower than the newest: it is to be looked at
ALTER TABLE zones ADD COLUMN nameservers_version INT UNSIGNED NOT NULL DEFAULT 0
