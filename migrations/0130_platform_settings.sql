CREATE TABLE platform_settings (
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    -- JSON; null: as the environment says
    value LONGTEXT NOT NULL,
    -- raised at each change
    version INT UNSIGNED NOT NULL DEFAULT 0,
    updated_at DATETIME(6) NULL,
    updated_by VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
