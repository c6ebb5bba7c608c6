#!/usr/bin/env python3
"""Golden values for resizing: torch's F.interpolate on latents, Pillow's Lanczos on 8-bit RGB.

usage: resize_golden.py [OUT]      default OUT: golden/resize.safetensors beside this script

Keys: latent.N.in [c, h, w]; latent.N.MODE [c, H, W] for each mode; rgb.N.in [h, w, 3] u8; rgb.N.lanczos [H, W, 3] u8.
"""
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file

MODES = {
    "nearest": dict(mode="nearest"),
    "nearest-exact": dict(mode="nearest-exact"),
    "bilinear": dict(mode="bilinear", align_corners=False),
    "bilinear-antialiased": dict(mode="bilinear", align_corners=False, antialias=True),
    "bicubic": dict(mode="bicubic", align_corners=False),
    "bicubic-antialiased": dict(mode="bicubic", align_corners=False, antialias=True),
}
# [c, h, w] to (H, W): both sides up, down, one up and one down, the same, a long axis, a single pixel.
LATENTS = [
    ((2, 17, 23), (40, 37)),
    ((2, 17, 23), (34, 46)),
    ((2, 17, 23), (9, 5)),
    ((1, 17, 23), (31, 10)),
    ((1, 6, 7), (6, 7)),
    ((1, 3, 700), (4, 1001)),
    ((1, 1, 1), (3, 4)),
]
# h, w to H, W
PICTURES = [((43, 61), (86, 122)), ((43, 61), (100, 40)), ((43, 61), (17, 23)), ((9, 11), (9, 30))]


def latents(tensors):
    for number, (shape, size) in enumerate(LATENTS):
        latent = torch.randn(shape, generator=torch.Generator().manual_seed(100 + number))
        tensors[f"latent.{number}.in"] = latent.numpy()
        for name, options in MODES.items():
            tensors[f"latent.{number}.{name}"] = F.interpolate(latent[None], size=size, **options)[0].contiguous().numpy()


def pictures(tensors):
    for number, (source, target) in enumerate(PICTURES):
        # Half of it noise, half of it hard edges: both ends of what rounding and clamping have to get right.
        rgb = np.random.default_rng(200 + number).integers(0, 256, (*source, 3), dtype=np.uint8)
        rgb[: source[0] // 2] = np.where(rgb[: source[0] // 2] < 128, 0, 255)
        tensors[f"rgb.{number}.in"] = rgb
        resized = Image.fromarray(rgb).resize((target[1], target[0]), Image.LANCZOS)
        tensors[f"rgb.{number}.lanczos"] = np.asarray(resized).copy()


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "golden" / "resize.safetensors"
    tensors = {}
    latents(tensors)
    pictures(tensors)
    out.parent.mkdir(parents=True, exist_ok=True)
    # One key: several would be written in any order.
    made_with = f"torch {torch.__version__}, pillow {Image.__version__}"
    save_file(tensors, str(out), metadata={"made_with": made_with})
    print(f"{out}: {len(tensors)} tensors, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
