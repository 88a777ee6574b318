CREATE TABLE role_assignments (
    id BINARY(16) NOT NULL PRIMARY KEY,
    tenant_id BINARY(16) NOT NULL,
    role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    assignee_type VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    assignee_id BINARY(16) NOT NULL,
    scope VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    scope_id BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    KEY role_assignments_assignee (assignee_type, assignee_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
