CREATE TABLE idempotency_keys (
    -- of who calls and the key it sent
    digest BINARY(32) NOT NULL PRIMARY KEY,
    -- of what was asked: method, path, query, body, tenant acted in
    fingerprint BINARY(32) NOT NULL,
    -- which request holds the key, or held it last
    run BINARY(16) NOT NULL,
    -- renewed while the request runs; past it, the next request under the key takes over
    deadline DATETIME(6) NOT NULL,
    -- the answer; NULL while there is none
    status SMALLINT UNSIGNED NULL,
    headers TEXT NULL,
    body MEDIUMBLOB NULL,
    -- what the caller had to be allowed, to be decided anew before the answer is given again
    decisions TEXT NULL,
    created_at DATETIME(6) NOT NULL,
    KEY idempotency_keys_created (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
