-- the job that alone may write to the zone until it is over
ALTER TABLE zones ADD COLUMN held_by BINARY(16) NULL
