CREATE TABLE secondary_zones (
    zone_id BINARY(16) NOT NULL PRIMARY KEY,
    -- where the content comes from: a JSON array of address[:port]
    masters LONGTEXT NOT NULL,
    tsig_key_id BINARY(16) NULL,
    KEY secondary_zones_key (tsig_key_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
