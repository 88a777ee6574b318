-- a tenant's list by name, filtered and counted without touching a row
CREATE INDEX zones_tenant_walk ON zones (tenant_id, name, id, status, domain_type, dnssec_enabled)
