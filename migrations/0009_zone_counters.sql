CREATE TABLE zone_counters (
    tenant_id BINARY(16) NOT NULL,
    status VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    domain_type VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    dnssec_enabled BOOLEAN NOT NULL,
    zones BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, status, domain_type, dnssec_enabled)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
