CREATE TABLE access_grants (
    id BINARY(16) NOT NULL PRIMARY KEY,
    tenant_id BINARY(16) NOT NULL,
    zone_id BINARY(16) NOT NULL,
    grantee_type VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    grantee_id BINARY(16) NOT NULL,
    -- a system role's name, or 'custom' beside role_id
    role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role_id BINARY(16) NULL,
    record_pattern VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
    -- JSON list
    record_types LONGTEXT NULL,
    expires_at DATETIME(6) NULL,
    notes TEXT NULL,
    created_by VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY access_grants_zone (zone_id, id),
    KEY access_grants_grantee (grantee_type, grantee_id),
    KEY access_grants_role (role_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
