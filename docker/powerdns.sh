#!/bin/sh
# Fills in what powerdns/pdns.conf leaves open and starts PowerDNS in the foreground.
set -eu

secret() { tr -d '\r\n' < "$1"; }
# & and \ mean something in the replacement, | ends it here
quoted() { printf '%s' "$1" | sed 's/[\\&|]/\\&/g'; }

target=/run/powerdns
sed \
  -e "s|{{database_host}}|$(quoted "$PDNS_DATABASE_HOST")|" \
  -e "s|{{database_port}}|$(quoted "$PDNS_DATABASE_PORT")|" \
  -e "s|{{database_name}}|$(quoted "$PDNS_DATABASE_NAME")|" \
  -e "s|{{database_user}}|$(quoted "$PDNS_DATABASE_USER")|" \
  -e "s|{{database_password}}|$(quoted "$(secret "$PDNS_DATABASE_PASSWORD_FILE")")|" \
  -e "s|{{dns_address}}|0.0.0.0|" \
  -e "s|{{dns_port}}|5300|" \
  -e "s|{{resolver}}|$(quoted "$PDNS_RESOLVER")|" \
  -e "s|{{api_key}}|$(quoted "$(secret "$PDNS_API_KEY_FILE")")|" \
  -e "s|{{api_address}}|0.0.0.0|" \
  -e "s|{{api_port}}|8081|" \
  -e "s|{{api_allow_from}}|$(quoted "$PDNS_API_ALLOW_FROM")|" \
  -e "s|{{socket_dir}}|$target|" \
  /etc/powerdns/pdns.conf.template > "$target/pdns.conf"
if grep -v '^#' "$target/pdns.conf" | grep -q '{{'; then
  echo "powerdns.sh: not everything was filled in:" >&2
  grep -v '^#' "$target/pdns.conf" | grep '{{' >&2
  exit 2
fi
exec pdns_server --config-dir="$target"
