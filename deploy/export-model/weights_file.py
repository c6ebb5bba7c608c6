"""A .safetensors file's table of contents: goes in a path, comes out names and shapes, without reading a weight.

Layout (from the format's own description): 8 bytes little-endian length of the header, the header as JSON
{name: {dtype, shape, data_offsets: [begin, end]}}, then the data that the offsets count from.
"""

import json
import struct
from pathlib import Path

from refused import Refused

HEADER_LIMIT = 100_000_000
"""Bytes; the reference implementation refuses longer headers as well."""


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in `path`, refused unless the file is as long as its header promises."""
    if not path.is_file():
        raise Refused(f"{path}: no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else HEADER_LIMIT
        if length >= min(HEADER_LIMIT, size):
            raise Refused(f"{path}: not a .safetensors file, or cut off within its header; copy it again")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise Refused(f"{path}: its .safetensors header is damaged; copy the file again") from None
    if 8 + length + end != size:
        raise Refused(f"{path}: {size} bytes long where its header promises {8 + length + end}; copy the file again")
    return found
