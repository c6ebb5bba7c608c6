#!/usr/bin/env python3
"""Lets torch's CUDA wheel run on a machine without CUDA: goes in a site-packages folder, comes out empty stand-ins
for the CUDA libraries that torch's own are linked with.

    make_cuda_stubs.py SITE_PACKAGES

The loader only asks that each library exists and has the versions of the symbols; torch binds them when it first uses
a GPU, which never happens here. Every stand-in's functions return an error code. Needs gcc and binutils.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

CUDA = re.compile(r"^lib(cu|nccl|nvshmem|nvrtc|nvJit|nvTools)")
UNVERSIONED = {
    "nccl": "libnccl.so",
    "cuFile": "libcufile.so",
    "nvshmem": "libnvshmem_host.so",
    "cupti": "libcupti.so",
    "nvrtc": "libnvrtc.so",
    "cusparseLt": "libcusparseLt.so",
    "curand": "libcurand.so",
    "cublas": "libcublas.so",
    "cudnn": "libcudnn.so",
}
"""Symbols without a version, by how they start, and the library they live in."""


def run(*command: str | Path) -> str:
    """The output of a binutils command."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def needs(folder: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """The CUDA libraries that the libraries in `folder` are linked with, and the (symbol, version) they lack."""
    libraries, symbols = set(), set()
    for file in folder.glob("*.so*"):
        names = re.findall(r"NEEDED.*\[(.*?)\]", run("readelf", "-dW", file))
        libraries |= {name for name in names if CUDA.match(name)}
        for line in run("nm", "-D", "--undefined-only", "--with-symbol-versions", file).splitlines():
            name, _, version = line.split()[-1].partition("@")
            symbols.add((name, version.lstrip("@")))
    return libraries, symbols


def make(target: Path, symbols: set[tuple[str, str]]) -> int:
    """Compiles one stand-in that defines what is expected of it; returns the number of functions."""
    stem = target.name.split(".so")[0] + ".so"
    own = set()
    for name, version in symbols:
        if version == target.name or (version == "NVSHMEM" and stem == "libnvshmem_host.so"):
            own.add((name, version))
        elif not version and any(name.startswith(p) and lib == stem for p, lib in UNVERSIONED.items()):
            own.add((name, ""))
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder, "stub.c"), Path(folder, "stub.map")
        source.write_text("".join(f"int {n}(void) {{ return 1; }}\n" for n, _ in sorted(own)) + "int stub_;\n")
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{target.name}", "-o", target, source]
        if versions := sorted({v for _, v in own if v}):
            blocks = ("; ".join(sorted(n for n, v in own if v == version)) for version in versions)
            script.write_text("".join(f"{v} {{ global: {b}; }};\n" for v, b in zip(versions, blocks, strict=True)))
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)
    return len(own)


def main(site: Path) -> None:
    """Makes every library that is wanted and absent."""
    libraries, symbols = needs(site / "torch" / "lib")
    present = {p.name for p in (site / "torch" / "lib").iterdir()} | {p.name for p in site.glob("nvidia/**/*.so*")}
    for name in sorted(libraries - present):
        print(f"stand-in for {name}: {make(site / 'torch' / 'lib' / name, symbols)} functions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
