# Shared by scripts/up and scripts/test: where we are, and how to install what is missing.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# With the time since the script began.
heading() { printf '\n== %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }
die() { echo "error: $*" >&2; exit 1; }

# Servers live in sbin, which an ordinary user's PATH lacks.
has() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif has sudo; then sudo "$@"
  else die "need root or sudo for: $*"; fi
}

# Installs Debian packages and leaves every service off: nothing starts, nothing takes port 53.
install_quietly() {
  [ $# -gt 0 ] || return 0
  has apt-get || die "no apt-get here; install by hand: $*"
  heading "installing $*"
  local policy=/usr/sbin/policy-rc.d kept='' status=0
  if [ -e "$policy" ]; then kept="$policy.scaidns-kept.$$"; as_root mv "$policy" "$kept"; fi
  # Put back however this ends, Ctrl-C included.
  trap "restore_policy '$policy' '$kept'" EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  as_root apt-get update -qq || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || status=$?
  restore_policy "$policy" "$kept"
  trap - EXIT
  [ "$status" = 0 ] || die "apt-get could not install: $*"
  # So that they do not start at the next boot either; only units that this installation has brought.
  [ -d /run/systemd/system ] || return 0
  local package unit
  for package in "$@"; do
    for unit in $(dpkg -L "$package" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p' | sort -u); do
      as_root systemctl disable --quiet "$unit" 2>/dev/null || true
    done
  done
}

restore_policy() {
  as_root rm -f "$1"
  if [ -n "$2" ]; then as_root mv "$2" "$1"; fi
}

# The packages of the programs that are not there.
missing_packages() {
  local pair
  for pair in mariadbd:mariadb-server redis-server:redis-server pdns_server:pdns-server dig:bind9-dnsutils "$@"; do
    has "${pair%%:*}" || echo "${pair##*:}"
  done
  compgen -G '/usr/lib/*/pdns/libgmysqlbackend.so' >/dev/null || echo pdns-backend-mysql
  # The linker, and aws-lc, which is C.
  has cc || echo build-essential
}

need_cargo() {
  has cargo || { [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"; }
  has cargo || die "no cargo here; install Rust 1.95 or newer from https://rustup.rs"
}
