#!/usr/bin/env python3
"""The site-packages folder of a venv in; empty stand-ins for the CUDA libraries that its torch is linked with out.

    python make_cuda_stubs.py SITE_PACKAGES

PyPI's torch for x86-64 does not import without cublas, cudnn, nccl ..., more than 2 GB that a CPU never calls.
Each stand-in defines, under the versions that torch asks for, the symbols it wants; all of them return error 1.
Only the CUDA runtime must be the real one (nvidia-cuda-runtime, 2 MB): its code runs when torch loads.
Needs gcc and binutils.  CPU tensors, MKL and oneDNN work; nothing else does.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

LIBRARY = re.compile(r"^lib(cu|nccl|nvshmem|nvrtc|nvJit|nvTools)")
# Symbols without a version say by their prefix which library they come from.
OWNERS = {
    "nccl": "libnccl.so", "cuFile": "libcufile.so", "nvshmem": "libnvshmem_host.so", "cupti": "libcupti.so",
    "nvrtc": "libnvrtc.so", "cusparseLt": "libcusparseLt.so", "curand": "libcurand.so", "cublas": "libcublas.so",
    "cudnn": "libcudnn.so",
}  # fmt: skip


def output_of(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wanted(libraries: list[Path]) -> tuple[set[str], set[tuple[str, str]]]:
    """The shared objects that torch's libraries name, and the (symbol, version) pairs that they leave undefined."""
    needed: set[str] = set()
    symbols: set[tuple[str, str]] = set()
    for library in libraries:
        dynamic = output_of("readelf", "-dW", str(library))
        needed |= {name for name in re.findall(r"NEEDED.*\[(.*?)\]", dynamic) if LIBRARY.match(name)}
        for line in output_of("nm", "-D", "--undefined-only", "--with-symbol-versions", str(library)).splitlines():
            name, _, version = line.split()[-1].partition("@")
            symbols.add((name, version.lstrip("@")))
    return needed, symbols


def symbols_of(library: str, symbols: set[tuple[str, str]]) -> dict[str, set[str]]:
    """The symbols that `library` must define, by version; "" for those without one."""
    stem = library.split(".so")[0] + ".so"
    chosen: dict[str, set[str]] = defaultdict(set)
    for name, version in symbols:
        if version == library or (version == "NVSHMEM" and stem == "libnvshmem_host.so"):
            chosen[version].add(name)
        elif not version and any(name.startswith(prefix) and owner == stem for prefix, owner in OWNERS.items()):
            chosen[""].add(name)
    return chosen


def build(target: Path, by_version: dict[str, set[str]]) -> int:
    """Compiles one stand-in; says how many symbols it has."""
    names = sorted(set().union(*by_version.values()))
    with tempfile.TemporaryDirectory() as folder:
        source, versions = Path(folder, "stub.c"), Path(folder, "versions.map")
        source.write_text("\n".join(f"int {name}(void) {{ return 1; }}" for name in names) + "\nint stub_;\n")
        command = ["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{target.name}", "-o", str(target), str(source)]
        named = {version: sorted(listed) for version, listed in by_version.items() if version}
        if named:
            blocks = (f"{version} {{ global: {'; '.join(listed)}; }};" for version, listed in sorted(named.items()))
            versions.write_text("\n".join(blocks))
            command.append(f"-Wl,--version-script={versions}")
        subprocess.run(command, check=True)
    return len(names)


def main() -> None:
    """Builds what is missing."""
    site = Path(sys.argv[1])
    folder = site / "torch" / "lib"
    present = {path.name for path in [*folder.glob("*.so*"), *site.glob("nvidia/**/*.so*")]}
    needed, symbols = wanted(sorted(folder.glob("*.so*")))
    for library in sorted(needed - present):
        print(f"{library}: {build(folder / library, symbols_of(library, symbols))} symbols")


if __name__ == "__main__":
    main()
