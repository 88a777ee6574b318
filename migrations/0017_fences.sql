CREATE TABLE fences (
    zone_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    change_id BINARY(16) NOT NULL,
    -- seconds, of PowerDNS when the fence was put up: a smaller one later proves that the fenced PATCH is gone
    server_uptime BIGINT UNSIGNED NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (zone_name, change_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
