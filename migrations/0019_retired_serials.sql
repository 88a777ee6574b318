CREATE TABLE retired_serials (
    zone_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    -- of the zone of this name that was removed last: the next one goes on above it
    serial INT UNSIGNED NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
