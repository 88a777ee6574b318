CREATE TABLE partners (
    id BINARY(16) NOT NULL PRIMARY KEY,
    scaikey_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    slug VARCHAR(255) NOT NULL,
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- when ScaiKey made the newest statement that was taken into this row: older ones are ignored
    stated_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY partners_scaikey_id (scaikey_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
