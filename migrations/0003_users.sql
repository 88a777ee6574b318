CREATE TABLE users (
    id BINARY(16) NOT NULL PRIMARY KEY,
    scaikey_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tenant_id BINARY(16) NOT NULL,
    email VARCHAR(320) NOT NULL,
    name VARCHAR(255) NOT NULL,
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    admin_role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- when ScaiKey made the newest statement that was taken into this row: older ones are ignored
    stated_at DATETIME(6) NOT NULL,
    -- the same for admin_role, of which tokens speak, too
    admin_role_stated_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY users_scaikey_id (scaikey_id),
    KEY users_tenant (tenant_id, email),
    KEY users_email (email)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
