#!/usr/bin/env bash
# Installs what is missing, builds, and renders a picture with the demo model on two worker processes.
#
#   deploy/demo.sh [OUT.png]

set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-demo.png}

say() { printf '\n== %s\n' "$*" >&2; }

command -v cargo >/dev/null || {
  say 'cargo is missing: install Rust through rustup (https://rustup.rs), then run this again'
  exit 2
}

say 'ONNX Runtime'
deploy/fetch-onnxruntime.sh cpu

say 'build (a first one takes some minutes)'
cargo build --locked --release --package tessera

say "render $out: 128 x 128 px from text, then hires fix to 1024 x 1024 px, on two workers over gRPC"
target/release/tessera render 'a red house by a river at noon, green meadow, flowers, autumn trees, mountains, clouds' \
  --seed 2 --steps 20 --cfg 4 \
  --scale 8 --upscaler demo-4x --denoise 0.4 --hires-steps 15 --tile-method mixture \
  --workers cpu:1,cpu:1 --report "${out%.png}-report.json" --output "$out"

say "done: the picture is $out, what it cost is in ${out%.png}-report.json"
