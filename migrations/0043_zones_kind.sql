-- the same as zones_tenant_kind for those who see every tenant
CREATE INDEX zones_kind ON zones (status, domain_type, dnssec_enabled, name, id)
