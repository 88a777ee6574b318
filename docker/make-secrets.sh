#!/bin/sh
# Makes the secrets of docker-compose.yml that are not there yet, random, in docker/secrets. Those that ScaiKey gives
# (client secret, webhook secret) are to be replaced by ScaiKey's own.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -s "secrets/$1" ] || random > "secrets/$1"; }

for name in mariadb-root-password database-password pdns-database-password pdns-api-key \
            scaikey-client-secret scaikey-webhook-secret session-secret api-key-pepper audit-seal-key; do
  make "$name"
done
[ -s secrets/database-url ] || printf 'mysql://scaidns:%s@mariadb:3306/scaidns' "$(cat secrets/database-password)" > secrets/database-url
# The folder is closed to everybody else; the files are mounted into containers whose users are not this one.
chmod 700 secrets
chmod 644 secrets/*
echo "docker/secrets has what docker-compose.yml needs"
