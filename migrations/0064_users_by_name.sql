CREATE INDEX users_tenant_name ON users (tenant_id, name, id)
