CREATE TABLE pair_stamps (
    -- ScaiKey's ids: a group and its member, or an application and who may use it
    container VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    member VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- when ScaiKey made the newest statement about the pair, and whether they belong together by it
    stated_at DATETIME(6) NOT NULL,
    belongs BOOLEAN NOT NULL,
    PRIMARY KEY (container, member)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
