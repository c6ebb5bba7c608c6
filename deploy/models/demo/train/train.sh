#!/usr/bin/env bash
# From nothing to the demo model: scenes, autoencoder, text encoder and UNet, upscalers, ONNX folder, score.
#
#   deploy/models/demo/train/train.sh WORK OUT        WORK keeps data and checkpoints, OUT becomes the ONNX folder
#
# Runs on a CUDA device if torch sees one, else on two processes of the CPU. Every stage goes on where an interruption
# left it; a finished stage is not done again. MINUTES scales all budgets (default 1: 5 hours on two cores).

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly work=${1:?train.sh WORK OUT} out=${2:?train.sh WORK OUT}
readonly scale=${MINUTES:-1}
readonly venv=${VENV:-${TESSERA_HOME:-$HOME/.local/share/tessera}/export-venv}

say() { printf '\n== %s\n' "$*" >&2; }

minutes() { awk -v m="$1" -v s="$scale" 'BEGIN { print m * s }'; }

# Training is one process on CUDA and one process a core, two at most, without it.
team() {
  local n
  n=$("$venv/bin/python" -c 'import os, torch; print(1 if torch.cuda.is_available() else min(2, os.cpu_count()))')
  OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000 \
    "$venv/bin/torchrun" --nproc_per_node "$n" "$@"
}

# once NAME COMMAND...: runs a stage unless its mark says that it is done
once() {
  local name=$1
  shift
  if [[ -e $work/$name.done ]]; then
    say "$name: done before"
    return
  fi
  say "$name"
  "$@"
  touch "$work/$name.done"
}

main() {
  "$here/../../../export-model/setup.sh" "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  mkdir -p "$work"
  cd "$here"
  export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
  once scenes "$venv/bin/python" scenes.py "$work/data" --scenes 24000 --canvases 3000
  once vae team train_vae.py "$work/data" "$work/vae" --minutes "$(minutes 32)"
  once decoder team train_vae.py "$work/data" "$work/vae" --decoder-only --judge 0.05 --minutes "$(minutes 40)" --lr 5e-4
  once unet team train_unet.py "$work/data" "$work/vae" "$work/model" --minutes "$(minutes 200)"
  local x
  for x in 2 4; do
    once "upscaler-$x" "$venv/bin/python" train_upscaler.py "$work/data" "$work/demo-${x}x.safetensors" --scale $x --minutes "$(minutes 8)"
  done
  say "export to $out"
  "$venv/bin/python" ../../../export-model/export_model.py "$work/model" "$out" --store-fp16 \
    --upscaler "$work/demo-2x.safetensors" --upscaler "$work/demo-4x.safetensors"
  local factor
  factor=$("$venv/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["scaling_factor"])' "$work/model/vae/config.json")
  "$venv/bin/python" fit_preview.py "$work/data" "$work/vae" "$factor" "$out/latent_rgb.json"
  say "score"
  "$venv/bin/python" score.py "$work/model" --json "$work/score.json"
}

main
