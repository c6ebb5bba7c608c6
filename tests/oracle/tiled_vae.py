#!/usr/bin/env python3
"""The tiny model's torch weights in; decoded and encoded pictures of uneven sizes, in float64, out.

    python tiled_vae.py MODELS [GOLDEN]     writes tiled_vae.safetensors and .json

    decode.HxW.latent -> decode.HxW.picture, every fifth pixel of every fifth row, from the first
    encode.HxW.moments of the picture `scene`, which the JSON spells out in whole numbers

Five shares no factor with the decoder's enlargement by eight, so the pixels that are kept fall on every place between
two latents, and some of them beside every seam of every tiling.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from golden_parts import figures, uneven_latent
from runtime import GOLDEN, TEST_MODEL, session, write_golden

LATENTS = [(48, 72), (37, 53)]
PICTURES = [(264, 328)]
KEPT = 5
SCENE = (
    "v = (a * 7 + grain) // 8, at column x, row y of w x h, channel c: a is x * 255 // (w - 1), y * 255 // (h - 1) or "
    "255 * ((x // 16 + y // 16) % 2) for c = 0, 1, 2; grain = ((x * 31 + y * 17 + c * 71) * 2654435761 % 2**32) >> 24; "
    "the network takes v / 127.5 - 1 in float32"
)


def scene(height: int, width: int) -> np.ndarray:
    """[1, 3, h, w] whole numbers 0..255: two gradients, a checkerboard, and grain all over."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    planes = [x * 255 // (width - 1), y * 255 // (height - 1), 255 * ((x // 16 + y // 16) % 2)]
    grain = [((x * 31 + y * 17 + c * 71) * 2654435761 % 2**32) >> 24 for c in range(3)]
    return np.stack([(a * 7 + g) // 8 for a, g in zip(planes, grain, strict=True)])[None]


@torch.no_grad()
def main() -> None:
    """Writes both files."""
    models = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(models / "tiny-sd15" / "vae").double()
    decoder = session(TEST_MODEL / "vae_decoder" / "model.onnx")
    encoder = session(TEST_MODEL / "vae_encoder" / "model.onnx")
    tensors, cases = {}, {}
    for height, width in LATENTS:
        name, latent = f"decode.{height}x{width}", uneven_latent(height, width)
        picture = vae.decode(latent.double()).sample
        kept = picture[:, :, ::KEPT, ::KEPT].float()
        tensors |= {f"{name}.latent": latent, f"{name}.picture": kept}
        cases[name] = figures(picture, decoder.run(None, {"latent_sample": latent.numpy()})[0])
    for height, width in PICTURES:
        name = f"encode.{height}x{width}"
        values = (scene(height, width).astype(np.float32) / np.float32(127.5) - np.float32(1)).astype(np.float32)
        moments = vae.encode(torch.from_numpy(values).double()).latent_dist.parameters
        tensors[f"{name}.moments"] = moments.float()
        cases[name] = figures(moments, encoder.run(None, {"sample": values})[0])
    facts = {
        "about": "tests/models/tiny-sd15: latents are what the decoder graph takes, decoded pictures about -1..1 and "
        f"every {KEPT}th pixel both ways, moments mean and logvar [1,8,h/8,w/8]",
        "scene": SCENE,
        "reference": "torch in float64, rounded to float32; onnxruntime is the untiled graph in float32",
        "cases": cases,
    }
    write_golden("tiled_vae", tensors, facts, folder)


if __name__ == "__main__":
    main()
