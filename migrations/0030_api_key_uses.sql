CREATE TABLE api_key_uses (
    -- the first use of a key from a network on a day; kept for two days
    used_on DATE NOT NULL,
    key_id BINARY(16) NOT NULL,
    network VARCHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (used_on, key_id, network)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
