-- a tenant's zones of one kind by name: a filtered list is merged from some of these
CREATE INDEX zones_tenant_kind ON zones (tenant_id, status, domain_type, dnssec_enabled, name, id)
