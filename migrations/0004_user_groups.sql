CREATE TABLE user_groups (
    id BINARY(16) NOT NULL PRIMARY KEY,
    scaikey_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tenant_id BINARY(16) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    group_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- when ScaiKey made the newest statement that was taken into this row: older ones are ignored
    stated_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY user_groups_scaikey_id (scaikey_id),
    KEY user_groups_tenant (tenant_id, name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
