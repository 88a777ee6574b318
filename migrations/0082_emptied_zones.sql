-- zones that are withdrawn below another tenant's zone: all their records but SOA and NS are disabled in PowerDNS
CREATE TABLE emptied_zones (
    zone_id BINARY(16) NOT NULL PRIMARY KEY,
    -- digests of the records that were disabled before, as JSON: on the way back they stay so
    disabled LONGTEXT NOT NULL,
    -- some records are not switched yet
    is_partial BOOLEAN NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
