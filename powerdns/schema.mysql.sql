-- The tables PowerDNS 4.7 to 5.x expects of its gmysql backend, for a database of its own.
-- Repeatable: what is there already is left alone. Names compare byte by byte once lower-cased by PowerDNS,
-- hence latin1; InnoDB, because the write path stands on its transactions and row locks.

CREATE TABLE IF NOT EXISTS domains (
  id              INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name            VARCHAR(255) NOT NULL,
  type            VARCHAR(8) NOT NULL,
  master          VARCHAR(128) NULL,
  account         VARCHAR(40) CHARACTER SET utf8mb3 NULL,
  last_check      INT NULL,
  notified_serial INT UNSIGNED NULL,
  options         VARCHAR(64000) NULL,
  catalog         VARCHAR(255) NULL,
  UNIQUE KEY domains_name (name),
  KEY domains_catalog (catalog)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS records (
  id        BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain_id INT NULL,
  name      VARCHAR(255) NULL,
  type      VARCHAR(10) NULL,
  content   VARCHAR(64000) NULL,
  ttl       INT NULL,
  prio      INT NULL,
  disabled  TINYINT(1) NULL DEFAULT 0,
  ordername VARCHAR(255) CHARACTER SET latin1 COLLATE latin1_bin NULL,
  auth      TINYINT(1) NULL DEFAULT 1,
  KEY records_name_type (name, type),
  KEY records_domain (domain_id),
  KEY records_ordername (ordername)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS supermasters (
  ip         VARCHAR(64) NOT NULL,
  nameserver VARCHAR(255) NOT NULL,
  account    VARCHAR(40) CHARACTER SET utf8mb3 NOT NULL,
  PRIMARY KEY (ip, nameserver)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS comments (
  id          INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain_id   INT NOT NULL,
  name        VARCHAR(255) NOT NULL,
  type        VARCHAR(10) NOT NULL,
  modified_at INT NOT NULL,
  account     VARCHAR(40) CHARACTER SET utf8mb3 NULL,
  comment     TEXT CHARACTER SET utf8mb3 NOT NULL,
  KEY comments_name_type (name, type),
  KEY comments_domain_time (domain_id, modified_at)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS domainmetadata (
  id        INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain_id INT NOT NULL,
  kind      VARCHAR(32) NULL,
  content   TEXT NULL,
  KEY domainmetadata_domain_kind (domain_id, kind)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS cryptokeys (
  id        INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  domain_id INT NOT NULL,
  flags     INT NOT NULL,
  active    TINYINT(1) NULL,
  published TINYINT(1) NULL DEFAULT 1,
  content   TEXT NULL,
  KEY cryptokeys_domain (domain_id)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;

CREATE TABLE IF NOT EXISTS tsigkeys (
  id        INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name      VARCHAR(255) NULL,
  algorithm VARCHAR(50) NULL,
  secret    VARCHAR(255) NULL,
  UNIQUE KEY tsigkeys_name_algorithm (name, algorithm)
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
