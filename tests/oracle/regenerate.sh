#!/bin/sh
# Makes every committed model and golden value again: nothing in, tests/models and tests/oracle/golden out.
# With --check they are made in a temporary folder and compared byte by byte with the committed ones.
set -eu

case ${1:-} in
    "" | --check) ;;
    *) echo "usage: regenerate.sh [--check]" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
venv=${TESSERA_ORACLE_VENV:-$here/../../.venv}
[ -x "$venv/bin/python" ] || "$here/setup.sh" "$venv"
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore DIFFUSERS_VERBOSITY=error
export TQDM_DISABLE=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() {
    echo "== $*"
    script=$1
    shift
    "$venv/bin/python" "$here/$script" "$@"
}

mkdir -p "$work/golden"
run tiny_models.py "$work/torch"
run export_models.py "$work/torch" "$work/models"
run tiny_upscalers.py "$work/models"
if [ "${1:-}" = --check ]; then
    golden=$work/golden
else
    cp -R "$work/models/." "$here/../models/"
    golden=$here/golden
fi

run golden_parts.py "$work/torch" "$golden"
run tiled_vae.py "$work/torch" "$golden"
run golden_render.py "$golden"
run golden_panorama.py "$work/torch" "$golden"
run golden_upscale.py "$golden"
run solvers.py "$golden"
run noise.py "$golden"
run resize_golden.py "$golden/resize.safetensors"
run prompt_golden.py "$golden"

if [ "${1:-}" = --check ]; then
    differing=0
    for made in "$work/models"/*; do
        diff -r "$made" "$here/../models/$(basename "$made")" || differing=1
    done
    for made in "$golden"/*; do
        cmp "$made" "$here/golden/$(basename "$made")" || differing=1
    done
    [ "$differing" = 0 ] || { echo "oracle: made again, some files differ" >&2; exit 1; }
    echo "oracle: every file made again is byte for byte the committed one"
else
    chmod 644 "$golden"/*
    du -sh "$golden" "$here/../models"
fi
