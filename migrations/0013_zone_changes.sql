CREATE TABLE zone_changes (
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- the PATCH this change went live with, and its place in it
    batch_id BINARY(16) NOT NULL,
    ordinal INT UNSIGNED NOT NULL,
    zone_id BINARY(16) NOT NULL,
    tenant_id BINARY(16) NOT NULL,
    revision BIGINT UNSIGNED NOT NULL,
    serial INT UNSIGNED NULL,
    actor LONGTEXT NOT NULL,
    ip_address VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL,
    request_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    changes LONGTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY zone_changes_batch (batch_id, ordinal),
    UNIQUE KEY zone_changes_revision (zone_id, revision)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
