CREATE TABLE tsig_keys (
    id BINARY(16) NOT NULL PRIMARY KEY,
    tenant_id BINARY(16) NOT NULL,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- what both sides of a transfer call it; PowerDNS has one of a name, whoever's it is
    key_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    algorithm VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- creating, active or deleting: the first and the last are intents, whose calls to PowerDNS may or may not have run
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state_since DATETIME(6) NOT NULL,
    -- the audit entry that is written when the key is gone
    farewell LONGTEXT NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY tsig_keys_key_name (key_name),
    KEY tsig_keys_tenant (tenant_id, name, id),
    KEY tsig_keys_state (state, state_since)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
