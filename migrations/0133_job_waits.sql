-- How often a job was given back since it last got further because somebody it needs was away.
ALTER TABLE jobs ADD COLUMN waits INT UNSIGNED NOT NULL DEFAULT 0 AFTER attempts
