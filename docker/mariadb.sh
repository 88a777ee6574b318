#!/bin/sh
# Run once by MariaDB's image, at its first start: a database and a user each for ScaiDNS and for PowerDNS.
set -eu

secret() { tr -d '\r\n' < "$1"; }
# the passwords are hexadecimal, see make-secrets.sh
mariadb -uroot -p"$(secret "$MARIADB_ROOT_PASSWORD_FILE")" <<SQL
CREATE DATABASE scaidns CHARACTER SET utf8mb4;
CREATE USER scaidns IDENTIFIED BY '$(secret /run/secrets/database-password)';
GRANT ALL ON scaidns.* TO scaidns;
CREATE DATABASE pdns CHARACTER SET latin1;
CREATE USER pdns IDENTIFIED BY '$(secret /run/secrets/pdns-database-password)';
GRANT ALL ON pdns.* TO pdns;
SQL
mariadb -uroot -p"$(secret "$MARIADB_ROOT_PASSWORD_FILE")" pdns < /schema.mysql.sql
