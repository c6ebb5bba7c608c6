#!/bin/sh
# Makes the virtual environment of the oracle: a folder in (default: .venv at the top of the project), a venv out.
# 0.65 GB to download, 1.9 GB on disk, about four minutes; done before, it does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$here/../../.venv}
mark=$venv/oracle-requirements.txt

if cmp -s "$here/requirements.txt" "$mark"; then
    echo "oracle: $venv is up to date"
    exit 0
fi
for tool in python3 gcc readelf nm; do
    command -v "$tool" >/dev/null || { echo "oracle: $tool is missing (apt install python3-venv gcc binutils)" >&2; exit 1; }
done
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "oracle: Python 3.11 or newer is needed, this is $(python3 --version)" >&2
    exit 1
}

echo "oracle: installing into $venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
    "$venv/bin/python" "$here/make_cuda_stubs.py" "$site"
fi
"$venv/bin/python" -W ignore -c 'import torch, diffusers, onnxruntime; from diffusers import StableDiffusionPipeline; print("oracle: torch", torch.__version__, "diffusers", diffusers.__version__, "onnxruntime", onnxruntime.__version__)'
cp "$here/requirements.txt" "$mark"
