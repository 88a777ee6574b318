-- the template that a zone was claimed with, as it was then: it is applied when the zone goes live
CREATE TABLE zone_templates (
    zone_id BINARY(16) NOT NULL PRIMARY KEY,
    -- which may be gone or changed since
    template_id BINARY(16) NOT NULL,
    template_name VARCHAR(255) NOT NULL,
    -- JSON: records and variables
    definition LONGTEXT NOT NULL,
    -- JSON: values by variable
    given LONGTEXT NOT NULL,
    applied_at DATETIME(6) NULL,
    -- JSON, once it is applied: records that were left out, and why
    skipped LONGTEXT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
