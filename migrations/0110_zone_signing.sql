CREATE TABLE zone_signing (
    zone_id BINARY(16) NOT NULL PRIMARY KEY,
    phase VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- the whole state, as JSON; no private key is in it
    state LONGTEXT NOT NULL,
    -- +1 for each change of this row
    version BIGINT UNSIGNED NOT NULL,
    -- entries that are written when the step under way has been applied
    audit LONGTEXT NOT NULL,
    alarm VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NULL,
    -- when somebody is to look at it next
    due_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY zone_signing_due (due_at),
    KEY zone_signing_alarm (alarm, zone_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
