#!/usr/bin/env bash
# Sees to it that there is a PostgreSQL server's program, for the tests: they start one of their own.

set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  say 'PostgreSQL is missing: install it (brew install postgresql, dnf install postgresql-server), then run this again'
  exit 2
fi
root=()
if [[ $(id -u) -ne 0 ]]; then root=(sudo); fi
say 'installing PostgreSQL'
"${root[@]}" apt-get update -q >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql >&2
