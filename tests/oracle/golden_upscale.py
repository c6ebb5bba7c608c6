#!/usr/bin/env python3
"""Golden pictures of upscaling networks: a picture of 8 bits in, what onnxruntime makes of it untiled out.

    python golden_upscale.py [OUT]      default OUT: golden/ beside this script

Keys: HxW.picture [h, w, 3] u8; HxW.NETWORK.PASSES [H, W, 3] u8, for networks of tests/models.  A pass is what A1111
does: px / 255, the network on the whole picture, clamped to 0..1, times 255, rounded; the next pass starts from those px.
"""

import sys
from pathlib import Path

import numpy as np
from runtime import GOLDEN, HERE, session, write_golden

MODELS = HERE.parent / "models"
EVEN, ODD = (72, 104), (91, 73)  # height, width
CASES = (
    ("tiny-compact-x2", MODELS / "tiny-upscalers", ODD, (1, 2)),
    ("tiny-compact-x4", MODELS / "tiny-upscalers", EVEN, (1,)),
    ("tiny-folded-x2", MODELS / "tiny-upscalers", ODD, (1,)),
    ("tiny-rrdbnet-x4", MODELS / "tiny-sd15" / "upscalers", EVEN, (1,)),
)


def scene(height: int, width: int) -> np.ndarray:
    """[h, w, 3]: waves, hard edges and some noise, so that no two tiles are alike."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = np.stack([np.sin(x / 7 + y / 19), np.cos(y / 5 - x / 23), np.sin((x + y) / 11)], -1)
    noise = np.random.default_rng(height * width).normal(size=waves.shape)
    edges = np.where((x // 13 + y // 17) % 2 == 0, 60.0, 0.0)[..., None]
    return np.clip(np.floor(98 + 60 * waves + edges + 12 * noise), 0, 255).astype(np.uint8)


def enlarged(path: Path, picture: np.ndarray) -> np.ndarray:
    """One pass."""
    values = (picture / np.float32(255)).astype(np.float32).transpose(2, 0, 1)[None]
    result = session(path).run(None, {"input": np.ascontiguousarray(values)})[0][0].transpose(1, 2, 0)
    return (np.float32(255) * np.clip(result, 0, 1)).round().astype(np.uint8)


def main() -> None:
    """Writes both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    tensors, cases = {}, {}
    for name, models, (height, width), passes in CASES:
        size = f"{height}x{width}"
        picture = tensors[f"{size}.picture"] = scene(height, width)
        for number in range(1, max(passes) + 1):
            picture = enlarged(models / f"{name}.onnx", picture)
            if number in passes:
                tensors[f"{size}.{name}.{number}"] = picture
                spread, share = float(picture.std()), clipped(picture)
                cases[f"{size}.{name}.{number}"] = {"std": round(spread, 2), "clipped": round(share, 4)}
    facts = {
        "about": "HxW.picture and what each network makes of it in so many passes, untiled, 8 bits after each pass",
        "cases": cases,
    }
    write_golden("upscale", tensors, facts, folder)


def clipped(picture: np.ndarray) -> float:
    """The share of samples at either end: where they are many, an error would not show."""
    return float(np.mean((picture == 0) | (picture == 255)))


if __name__ == "__main__":
    main()
