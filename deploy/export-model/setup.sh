#!/usr/bin/env bash
# Installs what export_model.py needs into a virtual environment, for the CPU, in about 4 minutes and 2 GB.
#
#   deploy/export-model/setup.sh [VENV]        (default: $TESSERA_HOME/export-venv)
#
# On x86-64 Linux, PyPI's torch asks for 2.9 GB of CUDA libraries. Export runs on the CPU, so this installs torch
# without them, the real libcudart (2 MB, its code runs while torch loads) and empty stand-ins for the others
# (make_cuda_stubs.py; needs gcc and binutils). Packages that would drag them in again come without dependencies.
# A second run only checks.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly VENV=${1:-${TESSERA_HOME:-$HOME/.local/share/tessera}/export-venv}

say() { printf 'export-model/setup: %s\n' "$*" >&2; }

refuse() {
  say "$*"
  exit 2
}

# The pinned line of requirements.txt for each package named.
pinned() {
  local name
  for name in "$@"; do
    grep -E "^$name==" "$here/requirements.txt" || refuse "requirements.txt does not pin $name"
  done
}

works() { "$VENV/bin/python" -c 'import diffusers, onnx, onnxruntime, peft, spandrel, torch, transformers' 2>/dev/null; }

main() {
  command -v python3 >/dev/null || refuse "needs python3 (3.11 or newer)"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || refuse "needs Python 3.11 or newer, this is $(python3 -V)"
  if [[ -x $VENV/bin/python ]] && cmp -s "$here/requirements.txt" "$VENV/requirements.txt" && works; then
    say "already installed: $VENV"
    return
  fi
  local stubs=no
  [[ $(uname -sm) == "Linux x86_64" ]] && stubs=yes
  if [[ $stubs == yes ]]; then
    { command -v gcc && command -v readelf; } >/dev/null ||
      refuse "needs gcc and binutils for the stand-ins: on Debian or Ubuntu 'sudo apt install gcc binutils libc6-dev'"
  fi
  say "installing into $VENV"
  [[ -x $VENV/bin/python ]] || python3 -m venv "$VENV" ||
    refuse "python3 cannot make a virtual environment: on Debian or Ubuntu 'sudo apt install python3-venv'"
  local pip=("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check) packages
  # These need torch, and pip would answer with the CUDA libraries.
  mapfile -t packages < <(pinned torch torchvision accelerate peft spandrel clip-anytorch)
  "${pip[@]}" --no-deps "${packages[@]}"
  # What they need beside it.
  mapfile -t packages < <(pinned numpy safetensors einops diffusers transformers onnx onnxruntime pytest)
  "${pip[@]}" "${packages[@]}" filelock fsspec jinja2 networkx packaging pillow psutil pyyaml setuptools sympy typing_extensions
  if [[ $stubs == yes ]]; then
    "${pip[@]}" --no-deps nvidia-cuda-runtime==13.0.96
    "$VENV/bin/python" "$here/make_cuda_stubs.py" \
      "$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >&2
  fi
  works || refuse "the packages are installed but do not load: run '$VENV/bin/python -c \"import torch\"' to see why"
  cp "$here/requirements.txt" "$VENV/requirements.txt"
  say "done; next: $VENV/bin/python $here/export_model.py --help"
}

main
