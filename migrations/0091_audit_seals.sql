-- the place of an entry in the chain, and what seals it; both empty until the worker comes by
ALTER TABLE audit_log
    ADD COLUMN sequence BIGINT UNSIGNED NULL,
    ADD COLUMN seal BINARY(32) NULL,
    ADD UNIQUE KEY audit_log_sequence (sequence)
