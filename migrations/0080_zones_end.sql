-- a deletion that can be taken back, and a name that another tenant has proven meanwhile
ALTER TABLE zones
    ADD COLUMN deleted_at DATETIME(6) NULL,
    -- what a deleted zone was, and is again when it is restored
    ADD COLUMN status_before VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NULL,
    -- another tenant has proven the name: this zone's content is in its history alone, and it does not come back
    ADD COLUMN displaced BOOLEAN NOT NULL DEFAULT FALSE,
    ADD KEY zones_deleted (deleted_at)
