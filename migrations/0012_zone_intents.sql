CREATE TABLE zone_intents (
    -- the zone's name: two tenants may hold claims on one name, one of them writes to PowerDNS
    zone_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    zone_id BINARY(16) NOT NULL,
    change_id BINARY(16) NOT NULL,
    epoch INT UNSIGNED NOT NULL,
    kind VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload LONGTEXT NOT NULL,
    deadline DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    KEY zone_intents_zone (zone_id),
    KEY zone_intents_deadline (deadline)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
