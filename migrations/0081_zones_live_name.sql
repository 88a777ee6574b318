-- neither does a deleted claim hold its name, nor a zone that has made room
ALTER TABLE zones MODIFY COLUMN live_name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin AS (CASE WHEN status = 'pending_validation' OR status_before = 'pending_validation' OR displaced THEN NULL ELSE name END) PERSISTENT
