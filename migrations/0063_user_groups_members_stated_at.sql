-- when the newest list of all members was asked for: what is said of a single one of them from before is old
ALTER TABLE user_groups ADD COLUMN members_stated_at DATETIME(6) NOT NULL DEFAULT '1970-01-01 00:00:00.000000'
