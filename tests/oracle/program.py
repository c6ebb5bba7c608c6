"""Words of a command line in; one run of it that went well, or the end of this one with what it said."""

import argparse
import shutil
import subprocess
from pathlib import Path


def run(*words: object) -> None:
    """One run of a command, which must go well."""
    command = list(map(str, words))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr or done.stdout}")


def found(parser: argparse.ArgumentParser, name: str) -> Path:
    """The `tessera` program of this name or at this path."""
    path = shutil.which(name)
    if not path:
        parser.error(f"no program at {name}: build it with cargo build --release")
    return Path(path).resolve()
