CREATE TABLE settled_batches (
    change_id BINARY(16) NOT NULL PRIMARY KEY,
    zone_id BINARY(16) NOT NULL,
    -- applied, refused (by PowerDNS) or dropped (never ran, never will)
    outcome VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail TEXT NOT NULL,
    settled_at DATETIME(6) NOT NULL,
    KEY settled_batches_time (settled_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
