#!/usr/bin/env bash
# From nothing to the demo model: scenes, autoencoder, text encoder and UNet, upscalers, ONNX folder, score.
#
#   deploy/models/demo/train/train.sh WORK [OUT]      WORK keeps data and checkpoints, OUT becomes the ONNX folder
#
# On a CUDA device, if torch sees one, it takes 10 minutes: scenes are drawn while the autoencoder trains, and the
# sharper decoder and the upscalers train beside the UNet. Else it takes 5 hours on two processes of the CPU. Every stage
# goes on where an interruption left it; a finished stage is not done again. Without OUT it ends with the weights, so that
# another machine can train them: copy WORK back and run it again with OUT.
#
#   MINUTES=1         scales all budgets of training
#   SCENES=32000      how many scenes to draw
#   PYTHON=python3    a Python that has torch, diffusers and transformers (default: deploy/export-model/setup.sh's)

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly work=${1:?train.sh WORK [OUT]} out=${2:-}
readonly scale=${MINUTES:-1} scenes=${SCENES:-32000}
readonly venv=${TESSERA_HOME:-$HOME/.local/share/tessera}/export-venv
readonly python=${PYTHON:-$venv/bin/python}

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS" >&2; }

has_cuda() { "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; }

# minutes CPU CUDA: the budget on this machine
minutes() { awk -v cpu="$1" -v cuda="$2" -v on="$cuda" -v s="$scale" 'BEGIN { print (on == "yes" ? cuda : cpu) * s }'; }

# Training is one process on CUDA and one process a core, two at most, without it.
team() {
  if [[ $cuda == yes ]]; then
    "$python" "$@"
    return
  fi
  local n
  n=$("$python" -c 'import os; print(min(2, os.cpu_count()))')
  OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=1000000000 \
    "$python" -m torch.distributed.run --nproc_per_node "$n" "$@"
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
  say "$name: done"
}

# beside NAME COMMAND...: the same, beside what follows where a CUDA device trains
beside() {
  if [[ $cuda == yes ]]; then
    once "$@" &
  else
    once "$@"
  fi
}

# Waits for all that runs beside, and fails if one of them did.
all() {
  local job
  for job in $(jobs -p); do
    wait "$job"
  done
}

# Scenes, then the networks. The autoencoder begins with few scenes while the others are drawn.
train() {
  local x painters
  painters=$("$python" -c 'import os; n = os.cpu_count(); print(n if n < 4 else n - 2)') # two cores feed the device
  once first-scenes "$python" scenes.py "$work/first" --scenes $((scenes / 16)) --canvases $((scenes / 128)) --seed0 2000000
  beside scenes "$python" scenes.py "$work/data" --scenes "$scenes" --canvases $((scenes / 16)) --procs "$painters"
  once vae team train_vae.py "$work/first" "$work/vae" --minutes "$(minutes 32 2.1)"
  all
  for x in 2 4; do
    beside "upscaler-$x" "$python" train_upscaler.py "$work/data" "$work/demo-${x}x.safetensors" --scale $x --minutes "$(minutes 8 1)"
  done
  beside decoder team train_vae.py "$work/data" "$work/vae" --decoder-only --judge 0.05 --keep 0.05 --minutes "$(minutes 40 2.2)" --lr 5e-4
  once unet team train_unet.py "$work/data" "$work/vae" "$work/model" --minutes "$(minutes 200 5)" --show "$(minutes 20 3)"
  all
}

export_and_score() {
  say "export to $out"
  "$python" ../../../export-model/export_model.py "$work/model" "$out" --store-fp16 \
    --upscaler "$work/demo-2x.safetensors" --upscaler "$work/demo-4x.safetensors"
  "$python" fit_preview.py "$work/model" "$out/latent_rgb.json"
  say "score"
  "$python" score.py "$work/model" --json "$work/score.json"
}

main() {
  if [[ -z ${PYTHON:-} ]]; then
    "$here/../../../export-model/setup.sh" "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  fi
  mkdir -p "$work"
  cd "$here"
  export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
  cuda=no
  if has_cuda; then cuda=yes; fi
  readonly cuda
  train
  if [[ -n $out ]]; then export_and_score; fi
}

main
