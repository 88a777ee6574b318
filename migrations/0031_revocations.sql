CREATE TABLE revocations (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- key:<id>, tenant:<id> or all: whose cached rights are void
    concerns VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- by this server's clock, as the replicas look back by it; rows are kept for an hour
    created_at DATETIME(6) NOT NULL,
    KEY revocations_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
