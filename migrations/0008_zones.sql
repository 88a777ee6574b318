CREATE TABLE zones (
    id BINARY(16) NOT NULL PRIMARY KEY,
    tenant_id BINARY(16) NOT NULL,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- the name backwards, so that all zones below a name are one range
    reversed_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin AS (REVERSE(name)) PERSISTENT,
    -- one live zone per name: pending claims do not count, so several tenants may hold one
    live_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin AS (CASE WHEN status = 'pending_validation' THEN NULL ELSE name END) PERSISTENT,
    domain_type VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    default_ttl INT UNSIGNED NOT NULL,
    description TEXT NULL,
    settings LONGTEXT NOT NULL,
    cidr VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    dnssec_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    -- of the zone's content: +1 for each change in its history
    revision BIGINT UNSIGNED NOT NULL DEFAULT 0,
    serial INT UNSIGNED NULL,
    last_change BINARY(16) NULL,
    record_count INT UNSIGNED NOT NULL DEFAULT 0,
    -- PowerDNS may hold a (dark) zone made for this row
    born BOOLEAN NOT NULL DEFAULT FALSE,
    -- somebody wrote to PowerDNS behind our back
    drift_noted_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY zones_tenant_name (tenant_id, name),
    UNIQUE KEY zones_live_name (live_name),
    KEY zones_name (name, id),
    KEY zones_reversed_name (reversed_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
