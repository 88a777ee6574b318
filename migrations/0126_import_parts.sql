-- what a large import is to change, decided as a whole before the first of it is written
CREATE TABLE import_parts (
    job_id BINARY(16) NOT NULL,
    part INT UNSIGNED NOT NULL,
    -- RRsets before and after, as JSON
    changes LONGTEXT NOT NULL,
    rrsets INT UNSIGNED NOT NULL,
    -- records
    created INT UNSIGNED NOT NULL,
    updated INT UNSIGNED NOT NULL,
    deleted INT UNSIGNED NOT NULL,
    -- it stands in the zone
    done BOOLEAN NOT NULL DEFAULT FALSE,
    -- the batch that it was written with, marked by the transaction that settles it; NULL: it stood there already
    change_id BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (job_id, part),
    KEY import_parts_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
