#!/usr/bin/env bash
# Sees to it that there is a server that speaks S3, for the tests: they start one of their own.
#
#   deploy/fetch-moto.sh [VENV]        (default: $TESSERA_HOME/moto-venv)

set -euo pipefail

readonly VENV=${1:-${TESSERA_HOME:-$HOME/.local/share/tessera}/moto-venv}
readonly PACKAGES=('moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5)

say() { printf '%s\n' "$*" >&2; }

if [[ -x $VENV/bin/moto_server && $(cat "$VENV/packages" 2>/dev/null) == "${PACKAGES[*]}" ]]; then
  exit 0
fi
command -v python3 >/dev/null || {
  say 'python3 is missing: install it (apt install python3-venv), then run this again'
  exit 2
}
say "installing moto into $VENV"
[[ -x $VENV/bin/python ]] || python3 -m venv "$VENV" || {
  say "python3 cannot make a virtual environment: on Debian or Ubuntu 'sudo apt install python3-venv'"
  exit 2
}
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "${PACKAGES[@]}"
printf '%s' "${PACKAGES[*]}" >"$VENV/packages"
