ALTER TABLE role_assignments
    -- of a tenant's own role; role is 'custom' then
    ADD COLUMN role_id BINARY(16) NULL,
    -- of the scope 'record': where the record was, and which one, when the role was assigned
    ADD COLUMN zone_id BINARY(16) NULL,
    ADD COLUMN record_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN record_type VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN created_by VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD KEY role_assignments_role (tenant_id, role, role_id, id)
