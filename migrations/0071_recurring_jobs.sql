CREATE TABLE recurring_jobs (
    name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    -- when it is due; while it runs, when others may take it over
    look_at DATETIME(6) NOT NULL,
    -- raised at each run: the outcome of a run that was taken over is not noted
    epoch INT UNSIGNED NOT NULL DEFAULT 0,
    running BOOLEAN NOT NULL DEFAULT FALSE,
    runs BIGINT UNSIGNED NOT NULL DEFAULT 0,
    failures BIGINT UNSIGNED NOT NULL DEFAULT 0,
    total_count BIGINT UNSIGNED NOT NULL DEFAULT 0,
    last_count BIGINT UNSIGNED NULL,
    -- succeeded or failed
    last_outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    last_error VARCHAR(2048) NULL,
    started_at DATETIME(6) NULL,
    finished_at DATETIME(6) NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
