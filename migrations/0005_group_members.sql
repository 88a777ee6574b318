CREATE TABLE group_members (
    group_id BINARY(16) NOT NULL,
    member_type VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    member_id BINARY(16) NOT NULL,
    PRIMARY KEY (group_id, member_type, member_id),
    KEY group_members_member (member_type, member_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
