CREATE TABLE jobs (
    id BINARY(16) NOT NULL PRIMARY KEY,
    kind VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- NULL: the platform's own
    tenant_id BINARY(16) NULL,
    zone_id BINARY(16) NULL,
    -- who asked, and with which request
    requested_by LONGTEXT NOT NULL,
    parameters LONGTEXT NOT NULL,
    -- queued, running, succeeded or failed
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- when somebody is to look at it: when it is due, or when its lease ends; NULL once it is over
    look_at DATETIME(6) NULL,
    -- raised at each claim: what an earlier holder still writes finds nothing
    epoch INT UNSIGNED NOT NULL DEFAULT 0,
    -- claims since it last got further
    attempts INT UNSIGNED NOT NULL DEFAULT 0,
    -- where to go on
    state LONGTEXT NULL,
    done BIGINT UNSIGNED NOT NULL DEFAULT 0,
    total BIGINT UNSIGNED NULL,
    message VARCHAR(512) NULL,
    result LONGTEXT NULL,
    error VARCHAR(2048) NULL,
    created_at DATETIME(6) NOT NULL,
    started_at DATETIME(6) NULL,
    finished_at DATETIME(6) NULL,
    updated_at DATETIME(6) NOT NULL,
    -- one unfinished job of a kind for each zone
    busy_zone VARBINARY(64) AS (CASE WHEN look_at IS NULL THEN NULL ELSE CONCAT(kind, ':', zone_id) END) PERSISTENT,
    UNIQUE KEY jobs_busy_zone (busy_zone),
    KEY jobs_look_at (look_at),
    KEY jobs_finished_at (finished_at),
    KEY jobs_zone (zone_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
