CREATE TABLE validations (
    id BINARY(16) NOT NULL PRIMARY KEY,
    zone_id BINARY(16) NOT NULL,
    validation_type VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    challenge_value VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY validations_zone (zone_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
