-- when somebody else last waited for the zone: whoever writes to it without a break makes one
ALTER TABLE zones ADD COLUMN wanted_at DATETIME(6) NULL
