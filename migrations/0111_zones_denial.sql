-- how a signed zone proves that a name does not exist; NULL while it is unsigned
ALTER TABLE zones ADD COLUMN denial VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NULL
