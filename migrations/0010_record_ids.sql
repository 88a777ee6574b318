CREATE TABLE record_ids (
    zone_id BINARY(16) NOT NULL,
    id BINARY(16) NOT NULL,
    -- of name, type and content; no zone data stands here
    digest BINARY(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (zone_id, id),
    UNIQUE KEY record_ids_digest (zone_id, digest)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
