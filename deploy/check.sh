#!/usr/bin/env bash
# Checks what lies here to deploy with: shell scripts, systemd units, Dockerfiles, compose file, Helm chart, Slurm script,
# Grafana board. Needs no Docker, no cluster and no internet beyond pip's and apt's. A second run takes seconds.
#
#   deploy/check.sh
#
# The tools (check/requirements.txt) go into $TESSERA_HOME/check-tools. What cannot be checked here is said as
# "not checked: …", and is no failure.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly PYTHON=${PYTHON:-python3}
readonly TOOLS=${TESSERA_HOME:-${HOME:?is not set, and neither is TESSERA_HOME}/.local/share/tessera}/check-tools

say() { printf 'deploy/check: %s\n' "$*" >&2; }

refuse() {
  say "$*"
  exit 2
}

fail() {
  say "$*"
  exit 1
}

# The tools, whole or not at all.
install_tools() {
  cmp -s check/requirements.txt "$TOOLS/requirements.txt" && return
  "$PYTHON" -m pip --version >/dev/null 2>&1 || refuse "needs pip for $PYTHON (on Debian 'apt install python3-pip')"
  say "installing its tools into $TOOLS"
  mkdir -p "${TOOLS%/*}"
  local work
  work=$(mktemp -d "$TOOLS.XXXXXX")
  # shellcheck disable=SC2064  # expanded now on purpose: $work is local
  trap "rm -rf '$work'" EXIT
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-warn-script-location --only-binary=:all: \
    --target "$work" --requirement check/requirements.txt || refuse "the download failed (pip's message is above)"
  cp check/requirements.txt "$work/"
  rm -rf "$TOOLS"
  mv "$work" "$TOOLS"
}

# systemd-analyze, from Debian's package where it is absent.
install_systemd() {
  command -v systemd-analyze >/dev/null && return
  command -v apt-get >/dev/null || return 1
  local root=()
  if [[ $(id -u) -ne 0 ]]; then root=(sudo); fi
  say 'installing systemd-analyze'
  "${root[@]}" apt-get update -q >&2 &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends systemd >&2
}

check_shell() {
  local scripts
  mapfile -t scripts < <(find . -name '*.sh' -o -name '*.sbatch' | sort)
  "$TOOLS/bin/shellcheck" "${scripts[@]}" ../.ci/run
}

# A unit whose program exists here, in folder $2: `verify` looks for it.
with_program() {
  sed "s#/usr/local/bin/tessera#$(command -v true)#" "$1" >"$2/${1##*/}"
}

check_systemd() {
  if ! install_systemd; then
    say 'not checked: systemd units (there is no systemd-analyze here)'
    return
  fi
  local work unit name said
  work=$(mktemp -d)
  for unit in tessera-coordinator.service 'tessera-worker@.service'; do
    with_program "systemd/$unit" "$work"
    # A template as an instance of the kind that people enable; its colon must need no escape.
    name=${unit/@./@cuda:0.}
    [[ $(systemd-escape "cuda:0") == cuda:0 ]] || fail "systemd wants 'cuda:0' escaped, and the unit's head says otherwise"
    # `verify` warns and says yes. What systemd before 254 does not know is meant so.
    said=$(systemd-analyze verify "$work/$unit:$name" 2>&1 | grep -vE "Unknown key (name )?'Restart(Steps|MaxDelaySec)'" || true)
    [[ -z $said ]] || fail "systemd-analyze verify $unit: $said"
    # 0 is a service that can do nothing, 100 one that can do all.
    systemd-analyze security --offline=yes --threshold=20 "$work/$unit" >"$work/security" 2>&1 ||
      fail "$unit is exposed more than 2.0 of 10: $(tail -n 1 "$work/security")"
  done
  # What systemd would drop with a warning.
  said=$(grep -nvE '^(#.*|[A-Z_]+=[^"'"'"']*)?$' systemd/*.env.example || true)
  [[ -z $said ]] || fail "no line for an EnvironmentFile: $said"
  systemd-sysusers --dry-run "$PWD/systemd/tessera.sysusers.conf" >"$work/users" 2>&1 || fail "sysusers: $(cat "$work/users")"
  rm -rf "$work"
}

# What the batch shell is told, the worker hears, once: a stand-in for the worker writes down what it was given.
check_slurm() {
  local work pid
  work=$(mktemp -d)
  cat >"$work/tessera" <<'STUB'
#!/usr/bin/env bash
printf '%s\n' "$*" >"$SAID.new"
trap 'echo drained >>"$SAID"; exit 0' TERM
mv "$SAID.new" "$SAID"
for _ in {1..200}; do sleep 0.05; done
STUB
  chmod +x "$work/tessera"
  # Exec bits and settings aside, it is what `sbatch` starts.
  env HOME="$work" TMPDIR="$work" SAID="$work/said" TESSERA="$work/tessera" TESSERA_COORDINATOR=http://127.0.0.1:1 \
    SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=3 bash slurm/workers.sbatch &
  pid=$!
  for _ in {1..200}; do
    [[ -e $work/said ]] && break
    sleep 0.05
  done
  kill -TERM "$pid"
  wait "$pid" || fail "slurm/workers.sbatch ended with $? when it was told to drain"
  grep -q '^worker --device cuda:0 --name .*_3 --identity ' "$work/said" || fail "slurm: the worker got $(cat "$work/said")"
  [[ $(grep -c drained "$work/said") == 1 ]] || fail 'slurm: the worker did not hear that it shall drain'
  if HOME=$work SLURM_JOB_ID=7 TESSERA=true bash slurm/workers.sbatch 2>"$work/refused"; then
    fail 'slurm: a job without a coordinator begins'
  fi
  grep -q 'TESSERA_COORDINATOR is not set' "$work/refused" || fail "slurm: $(cat "$work/refused")"
  rm -rf "$work"
}

# Dockerfiles: style, the compiler's version, and that cargo finds its workspace in what is copied.
check_docker() {
  local file channel work kept source
  "$TOOLS/bin/hadolint" docker/Dockerfile docker/Dockerfile.cuda
  channel=$(sed -n 's/^channel = "\(.*\)"$/\1/p' ../rust-toolchain.toml)
  for file in docker/Dockerfile docker/Dockerfile.cuda; do
    grep -q "^FROM rust:$channel-slim-bookworm AS build$" "$file" || fail "$file builds with another Rust than $channel"
    cmp -s docker/Dockerfile.dockerignore "$file.dockerignore" || fail "$file.dockerignore is not docker/Dockerfile's"
    # Up to the last stage both are one but for the library's kind.
    diff <(sed -n '/^FROM rust/,/^FROM [dn]/{/^FROM [dn]/d;p}' docker/Dockerfile) \
      <(sed -n '/^FROM rust/,/^FROM [dn]/{/^FROM [dn]/d;p}' "$file" | sed 's/onnxruntime.sh cuda$/onnxruntime.sh cpu/') ||
      fail "$file and docker/Dockerfile build differently"
  done
  work=$(mktemp -d)
  mapfile -t kept < <(sed -n 's/^!//p' docker/Dockerfile.dockerignore)
  tar -C .. --exclude=target --exclude=__pycache__ -cf - "${kept[@]}" | tar -C "$work" -xf -
  while read -r source; do
    [[ -e $work/$source ]] || fail "docker/Dockerfile copies $source, which its .dockerignore leaves out"
  done < <(sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' docker/Dockerfile | tr ' ' '\n')
  if command -v cargo >/dev/null; then
    (cd "$work" && cargo metadata --locked --offline --no-deps --format-version 1 >/dev/null) ||
      fail 'docker/Dockerfile does not copy all that cargo needs'
  else
    say 'not checked: what cargo needs of that (there is no cargo here)'
  fi
  rm -rf "$work"
}

main() {
  command -v "$PYTHON" >/dev/null || refuse 'needs python3; set PYTHON to name another one'
  install_tools
  export PYTHONPATH=$TOOLS PYTHONDONTWRITEBYTECODE=1
  check_shell
  check_systemd
  check_slurm
  check_docker
  "$PYTHON" -m check_jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml >&2
  "$PYTHON" check/compose.py "$TOOLS/bin/shellcheck" docker/compose.yaml
  "$PYTHON" check/chart.py helm/tessera
  "$PYTHON" check/board.py grafana/tessera.json
  say 'all is well; not checked here: that images build, that a cluster runs them'
}

main "$@"
