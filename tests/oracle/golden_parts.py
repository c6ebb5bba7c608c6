#!/usr/bin/env python3
"""The tiny model's torch weights in; values of its text encoder, its VAE and its upscaler, alone, out.

    python golden_parts.py MODELS [GOLDEN]     writes text.* and vae.* (.safetensors and .json)

    text: IDS [n, 77] int64 and EMBEDS [n, 77, 32] of the texts in the JSON
    vae:  decode.HxW.latent -> decode.HxW.picture, encode.HxW.picture (uint8; v / 127.5 - 1) -> encode.HxW.moments,
          upscale.picture (uint8; v / 255) -> upscale.enlarged
References of the VAE are computed in float64 and rounded to float32 once: ONNX Runtime's own norms over large planes
are off by more than that, so a tiled decode can be nearer to these values than the untiled one is.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from runtime import GOLDEN, TEST_MODEL, Networks, largest_difference, rounded, session, write_golden
from tiny_models import RRDBNet

TEXTS = ["", "a photo of a cat", "blurry", "An astronaut, riding a HORSE!! 4k", "naïve café"]
LATENTS = [(16, 16), (24, 40)]
PICTURES = [(128, 128), (192, 128)]


def uneven_latent(height: int, width: int) -> torch.Tensor:
    """[1, 4, h, w] whose mean and spread change across the picture, so that a tile's statistics are not the whole's."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    noise = torch.randn(1, 4, height, width, generator=generator)
    across = torch.linspace(-1, 1, width).view(1, 1, 1, width)
    down = torch.linspace(0.5, 1.5, height).view(1, 1, height, 1)
    return 2 * across + 2 * noise * down


def scene(height: int, width: int) -> np.ndarray:
    """[1, 3, h, w] uint8: two gradients, a checkerboard and a little grain."""
    y, x = np.mgrid[0:height, 0:width]
    board = ((x // 16 + y // 16) % 2) * 255
    grain = np.random.default_rng(7).integers(0, 32, (3, height, width))
    planes = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), board]) * 7 // 8 + grain
    return planes.clip(0, 255).astype(np.uint8)[None]


def golden_text(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Ids of the tokenizer and the text encoder's last hidden state."""
    networks = Networks()
    ids = np.concatenate([networks.tokens(text) for text in TEXTS])
    embeds = pipe.text_encoder(torch.from_numpy(ids)).last_hidden_state
    by_graph = np.concatenate([networks.embed(text) for text in TEXTS])
    facts = {
        "about": "ids and embeds of tests/models/tiny-sd15, one row a text; no emphasis, one chunk each",
        "texts": TEXTS,
        "reference": "transformers in float32",
        "max_abs_difference_to_onnxruntime": rounded(largest_difference(embeds, by_graph)),
    }
    write_golden("text", {"ids": ids, "embeds": embeds}, facts, folder)


def golden_vae(pipe: StableDiffusionPipeline, upscaler: Path, folder: Path) -> None:
    """Decoder, encoder and upscaler in float64."""
    vae = pipe.vae.double()
    decoder = session(TEST_MODEL / "vae_decoder" / "model.onnx")
    encoder = session(TEST_MODEL / "vae_encoder" / "model.onnx")
    tensors, cases = {}, {}
    for height, width in LATENTS:
        name, latent = f"decode.{height}x{width}", uneven_latent(height, width)
        picture = vae.decode(latent.double()).sample
        tensors |= {f"{name}.latent": latent, f"{name}.picture": picture.float()}
        cases[name] = figures(picture, decoder.run(None, {"latent_sample": latent.numpy()})[0])
    for height, width in PICTURES:
        name, pixels = f"encode.{height}x{width}", scene(height, width)
        values = (pixels / np.float32(127.5) - np.float32(1)).astype(np.float32)
        moments = vae.encode(torch.from_numpy(values).double()).latent_dist.parameters
        tensors |= {f"{name}.picture": pixels, f"{name}.moments": moments.float()}
        cases[name] = figures(moments, encoder.run(None, {"sample": values})[0])
    net = RRDBNet().eval()
    net.load_state_dict(torch.load(upscaler))
    pixels = scene(24, 40)
    values = (pixels / np.float32(255)).astype(np.float32)
    enlarged = net.double()(torch.from_numpy(values).double())
    graph = session(TEST_MODEL / "upscalers" / "tiny-rrdbnet-x4.onnx")
    tensors |= {"upscale.picture": pixels, "upscale.enlarged": enlarged.float()}
    cases["upscale"] = figures(enlarged, graph.run(None, {"input": values})[0])
    facts = {
        "about": "tests/models/tiny-sd15: latents are what the decoder graph takes (already divided by "
        "scaling_factor), decoded pictures about -1..1, moments mean and logvar [1,8,h,w]",
        "reference": "torch in float64, rounded to float32; onnxruntime is the untiled graph in float32",
        "cases": cases,
    }
    write_golden("vae", tensors, facts, folder)


def figures(exact: torch.Tensor, by_graph: np.ndarray) -> dict[str, float]:
    """Spread of a value, and how far the untiled graph is from it."""
    return {
        "std": rounded(float(exact.std())), "max_abs": rounded(float(exact.abs().max())),
        "onnxruntime_max_abs_difference": rounded(largest_difference(exact, by_graph)),
    }  # fmt: skip


@torch.no_grad()
def main() -> None:
    """Writes both files."""
    models = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN
    torch.set_num_threads(1)
    pipe = StableDiffusionPipeline.from_pretrained(models / "tiny-sd15", safety_checker=None)
    golden_text(pipe, folder)
    golden_vae(pipe, models / "tiny-rrdbnet-x4.pt", folder)


if __name__ == "__main__":
    main()
