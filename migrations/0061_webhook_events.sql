CREATE TABLE webhook_events (
    -- ScaiKey's id of the event: what is told again is told in vain
    event_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    event_type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- waiting, done, ignored, given_up
    state VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- as it came; emptied when it is done
    body LONGTEXT NOT NULL,
    attempts INT UNSIGNED NOT NULL DEFAULT 0,
    -- why the last attempt failed
    error VARCHAR(512) NULL,
    -- when it is tried again
    look_at DATETIME(6) NOT NULL,
    received_at DATETIME(6) NOT NULL,
    KEY webhook_events_due (state, look_at),
    KEY webhook_events_age (received_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
