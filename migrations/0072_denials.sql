CREATE TABLE denials (
    -- the minute in which it was refused
    minute DATETIME NOT NULL,
    -- of actor, tenant and route
    digest BINARY(32) NOT NULL,
    -- the audit entry that it becomes when the minute is over, without the count
    entry LONGTEXT NOT NULL,
    refusals BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (minute, digest)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
