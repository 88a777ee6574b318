CREATE TABLE audit_log (
    id BINARY(16) NOT NULL PRIMARY KEY,
    tenant_id BINARY(16) NULL,
    -- a change and its place in it; NULL for what is no change of zone content
    batch_id BINARY(16) NULL,
    ordinal INT UNSIGNED NULL,
    actor_type VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor_email VARCHAR(320) NULL,
    action VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    resource_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    resource_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    resource_name VARCHAR(512) NULL,
    details LONGTEXT NOT NULL,
    ip_address VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL,
    user_agent VARCHAR(512) NULL,
    request_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY audit_log_batch (batch_id, ordinal),
    KEY audit_log_tenant (tenant_id, id),
    KEY audit_log_resource (resource_id, id),
    KEY audit_log_action (action, id),
    KEY audit_log_actor (actor_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
