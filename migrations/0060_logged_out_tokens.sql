CREATE TABLE logged_out_tokens (
    -- the first half of SHA-256 over what the token's signature covers; the token itself is nowhere
    hash BINARY(16) NOT NULL PRIMARY KEY,
    -- of the token: then it is refused anyway, and the row goes
    expires_at DATETIME(6) NOT NULL,
    KEY logged_out_tokens_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
