#!/usr/bin/env bash
# Puts a pinned ONNX Runtime library where Tessera looks for it.
#
#   deploy/fetch-onnxruntime.sh [cpu|cuda] [--wheel FILE]
#
#   cpu          (default) runs everywhere; Linux x86-64 and ARM64 (glibc >= 2.28), macOS >= 14 on ARM64
#   cuda         CUDA and TensorRT providers as well, Linux x86-64; wants CUDA 13, cuDNN 9 and a driver for them
#   --wheel FILE takes this already downloaded wheel (a machine without internet); its hash is checked all the same
#
# Goes in:   the PyPI wheel of onnxruntime, or of onnxruntime-gpu, through `pip download`.
# Comes out: $TESSERA_HOME/onnxruntime (default ~/.local/share/tessera/onnxruntime), a link to a folder with
#            libonnxruntime.so (libonnxruntime.dylib on macOS), its providers, its licence and SHA256SUMS.
#
# The wheel is named exactly (one Python tag for all, because only the C library inside is used), so any local
# python3 can fetch it. The folder appears whole or not at all, and a running worker keeps the library it has
# mapped. A second run only checks what is there. $PYTHON names another interpreter than python3.

set -euo pipefail

readonly VERSION=1.31.1
readonly PYTHON=${PYTHON:-python3}
readonly TESSERA_HOME=${TESSERA_HOME:-${HOME:?is not set, and neither is TESSERA_HOME}/.local/share/tessera}

say() { printf 'fetch-onnxruntime: %s\n' "$*" >&2; }

refuse() {
  say "$*"
  exit 2
}

# The wheel for this machine: sets PACKAGE, PLATFORM, SHA256 and LIBRARY (the library's plain file name).
choose_wheel() {
  local machine
  machine=$(uname -sm)
  PACKAGE=onnxruntime LIBRARY=libonnxruntime.so
  case "$1 $machine" in
    "cpu Linux x86_64")
      PLATFORM=manylinux_2_28_x86_64
      SHA256=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536 ;;
    "cpu Linux aarch64")
      PLATFORM=manylinux_2_28_aarch64
      SHA256=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc ;;
    "cpu Darwin arm64")
      PLATFORM=macosx_14_0_arm64 LIBRARY=libonnxruntime.dylib
      SHA256=96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c ;;
    "cuda Linux x86_64")
      PACKAGE=onnxruntime-gpu PLATFORM=manylinux_2_28_x86_64
      SHA256=05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7 ;;
    *) refuse "no pinned ONNX Runtime $VERSION ($1) for $machine; take one from the ONNX Runtime releases and" \
      "name it with --onnxruntime PATH or ORT_DYLIB_PATH" ;;
  esac
}

sha256_of() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# True when folder $1 holds every file of its SHA256SUMS, unchanged.
is_whole() {
  local sum file
  [[ -s $1/SHA256SUMS ]] || return 1
  while read -r sum file; do
    [[ -f $1/$file && $(sha256_of "$1/$file") == "$sum" ]] || return 1
  done <"$1/SHA256SUMS"
}

# Downloads the chosen wheel into folder $1 and prints its path.
download_wheel() {
  "$PYTHON" -m pip --version >/dev/null 2>&1 || refuse "needs pip for $PYTHON: on Debian or Ubuntu" \
    "'sudo apt install python3-pip'; elsewhere '$PYTHON -m ensurepip --user'; or PYTHON=/path/to/venv/bin/python"
  say "downloading $PACKAGE $VERSION for $PLATFORM"
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.12 --abi cp312 --platform "$PLATFORM" \
    --dest "$1" "$PACKAGE==$VERSION" >&2 ||
    refuse "the download failed (pip's message is above); behind a proxy set HTTPS_PROXY, or copy the wheel here" \
      "and use --wheel FILE"
  local wheels=("$1"/*.whl)
  printf '%s\n' "${wheels[0]}"
}

# Takes the libraries and the licence out of wheel $1 into folder $2; adds the plain names and SHA256SUMS.
unpack_wheel() {
  "$PYTHON" - "$1" "$2" "$LIBRARY" <<'PYTHON'
import hashlib, pathlib, shutil, sys, zipfile

wheel, folder, library = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
names = ("libonnxruntime", "LICENSE", "ThirdPartyNotices")
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.namelist():
        path = pathlib.PurePosixPath(entry)
        if path.parts[0] == "onnxruntime" and path.name.startswith(names):
            with archive.open(entry) as source, open(folder / path.name, "wb") as target:
                shutil.copyfileobj(source, target)

files = sorted(p.name for p in folder.iterdir())
stem = library.split(".")[0]
(real,) = [f for f in files if f.startswith(stem + ".")]
# Linux loads by major version ("libonnxruntime.so.1"), people and Tessera by the plain name.
for link in {library, library + ".1" if library.endswith(".so") else library}:
    (folder / link).symlink_to(real)
with open(folder / "SHA256SUMS", "w") as sums:
    for name in files:
        sums.write(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n")
PYTHON
}

# Makes link $2 point to $1 (a name in the same folder) in one step, whatever it pointed to.
point_link() {
  if [[ -e $2 && ! -L $2 ]]; then
    refuse "$2 is a folder that this script did not make: move it away, then run this again"
  fi
  ln -s "$1" "$2.new.$$"
  "$PYTHON" -c 'import os, sys; os.replace(*sys.argv[1:])' "$2.new.$$" "$2"
}

main() {
  local variant=cpu wheel=''
  while (($#)); do
    case $1 in
      cpu | cuda) variant=$1 ;;
      --wheel)
        wheel=${2:?--wheel wants a file}
        shift ;;
      -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        return ;;
      *) refuse "unknown argument '$1': use cpu or cuda (and perhaps --wheel FILE)" ;;
    esac
    shift
  done
  command -v "$PYTHON" >/dev/null || refuse "needs python3 (3.8 or newer); set PYTHON to name another one"
  choose_wheel "$variant"

  local name=onnxruntime-$VERSION-$variant
  local target=$TESSERA_HOME/$name link=$TESSERA_HOME/onnxruntime
  if is_whole "$target"; then
    say "ONNX Runtime $VERSION ($variant) is already there: $target"
  else
    mkdir -p "$TESSERA_HOME" || refuse "cannot make $TESSERA_HOME: set TESSERA_HOME to a folder you may write"
    local work
    work=$(mktemp -d "$TESSERA_HOME/.fetch-onnxruntime.XXXXXX")
    # shellcheck disable=SC2064  # expanded now on purpose: $work is local
    trap "rm -rf '$work' '$link.new.$$'" EXIT
    mkdir "$work/wheel" "$work/$name"
    if [[ -z $wheel ]]; then
      wheel=$(download_wheel "$work/wheel")
    elif [[ ! -f $wheel ]]; then
      refuse "no such wheel: $wheel"
    fi
    local found
    found=$(sha256_of "$wheel")
    [[ $found == "$SHA256" ]] ||
      refuse "$(basename "$wheel") has SHA-256 $found, not the pinned $SHA256: nothing was installed"
    unpack_wheel "$wheel" "$work/$name"
    chmod 755 "$work/$name"
    rm -rf "$target" # only ever a damaged one
    mv "$work/$name" "$target"
    say "installed ONNX Runtime $VERSION ($variant) in $target"
  fi
  if [[ $(readlink "$link" 2>/dev/null || true) != "$name" ]]; then
    point_link "$name" "$link"
    say "$link now points to $name"
  fi
  if [[ $variant == cuda ]]; then
    say "next: CUDA 13 and cuDNN 9 must be on the loader's path; 'tessera doctor' tells whether they are"
  else
    say "next: 'tessera doctor' shows that it loads; nothing has to be set, unless TESSERA_HOME is your own"
  fi
}

main "$@"
