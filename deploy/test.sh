#!/usr/bin/env bash
# Installs what is missing and runs all tests.
#
#   deploy/test.sh [cargo test's own arguments]

set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*" >&2; }

command -v cargo >/dev/null || {
  say 'cargo is missing: install Rust through rustup (https://rustup.rs), then run this again'
  exit 2
}

say 'ONNX Runtime'
deploy/fetch-onnxruntime.sh cpu

say 'PostgreSQL'
deploy/fetch-postgres.sh

say 'S3'
deploy/fetch-moto.sh

say 'what to deploy with'
deploy/check.sh

say 'build (a first one takes some minutes)'
cargo build --locked --workspace --lib --bins --tests

say 'examples in the documentation'
cargo test --locked --workspace --doc

say 'tests'
cargo test --locked --workspace --lib --bins --tests "$@"
