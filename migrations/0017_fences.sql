CREATE TABLE fences (
    zone_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    change_id BINARY(16) NOT NULL,
    -- of the PowerDNS server when the fence was put up: a later start proves that the fenced PATCH is gone
    server_started_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (zone_name, change_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
