"""CLIP's tokenizer files: comes out vocab.json and merges.txt, built from the merge list in an installed package.

A single-file checkpoint holds no tokenizer. All Stable Diffusion 1.x models use CLIP's, whose merge list travels
in the Python packages `clip-anytorch` and `open_clip_torch`; nothing of their code is imported.
"""

import gzip
import importlib.util
import json
from pathlib import Path

from transformers.models.clip.tokenization_clip import bytes_to_unicode

from refused import Refused

MERGES = 49152 - 256 - 2
"""CLIP uses this many merges of the list, which is longer: 512 byte symbols + these + 2 specials = 49408."""


def merge_list() -> Path:
    """Where an installed package keeps the list."""
    for package in ("clip", "open_clip"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder) / "bpe_simple_vocab_16e6.txt.gz"
            if path.is_file():
                return path
    raise Refused(
        "a single-file checkpoint has no tokenizer: install CLIP's with 'pip install --no-deps clip-anytorch==2.6.0', "
        "or name a diffusers folder of the same kind with --config DIR"
    )


def write(folder: Path) -> None:
    """Writes `vocab.json` and `merges.txt` into `folder`."""
    with gzip.open(merge_list(), "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 1 + MERGES]
    symbols = list(bytes_to_unicode().values())
    tokens = symbols + [s + "</w>" for s in symbols] + ["".join(m.split()) for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
