CREATE TABLE audit_seal_marks (
    -- head: the last entry sealed; start: the one before the first that is still kept
    name VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    sequence BIGINT UNSIGNED NOT NULL,
    seal BINARY(32) NOT NULL,
    -- of the start: that it was set by who has the key
    mac BINARY(32) NULL,
    -- of the head: when it was last written to the log of the worker
    told_at DATETIME(6) NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
