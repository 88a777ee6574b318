CREATE TABLE staged_rrsets (
    zone_id BINARY(16) NOT NULL,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    record_type VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ttl INT UNSIGNED NOT NULL,
    records LONGTEXT NOT NULL,
    PRIMARY KEY (zone_id, name, record_type)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
