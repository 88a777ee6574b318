CREATE TABLE idempotency_steps (
    digest BINARY(32) NOT NULL,
    -- which change of a zone within the request, from 0
    ordinal SMALLINT UNSIGNED NOT NULL,
    -- the batch that makes it: how that ends is how this ends
    batch_id BINARY(16) NOT NULL,
    -- what came of it if the batch is applied
    outcome LONGTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (digest, ordinal)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
