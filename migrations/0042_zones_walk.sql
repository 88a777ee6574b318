-- the same as zones_tenant_walk for those who see every tenant
CREATE INDEX zones_walk ON zones (name, id, status, domain_type, dnssec_enabled)
