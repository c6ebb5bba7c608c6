#!/usr/bin/env python3
"""The `tessera` program in; how far its tiled decodes, and those of others, are from the untiled decode, out.

    python peer_vae.py TESSERA [--onnx deploy/models/demo] [--latent FILE] [--torch DIR] [--picture OUT.png]

One latent goes through the same decoder in every way: whole, by diffusers' own `tiled_decode`, and by tessera's exact,
fast and blend modes.  With --torch, a diffusers folder with the same weights, also by the rule by which the Tiled VAE
extension pools statistics (means of the padded tiles' variances, attention inside each tile), and the truth is then
torch in float64 instead of ONNX Runtime's untiled run.  --at-most ERROR makes it a test of the exact mode.

Without --latent, tessera draws one: the hires latent of a picture of the demo model at 512 px.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import program
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw
from runtime import session
from safetensors.numpy import load_file, save_file
from torch import nn

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "deploy" / "models" / "demo"
PROMPT = "a view by the sea at sunset, pine trees, clouds, sun"
RENDER = "--seed 3 --cfg 4 --scale 4 --upscaler lanczos --denoise 0.35 --hires-steps 15 --tile-method mixture".split()
PAD = 11  # latents around a tile in the extension
GAIN = 16  # by which differences are shown enlarged


class Graph(nn.Module):
    """The ONNX decoder in the place of diffusers' own."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.session = session(path)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """[1, c, h, w], divided by the scaling factor, to [1, 3, 8h, 8w]."""
        return torch.from_numpy(self.session.run(None, {"latent_sample": latent.float().numpy()})[0])


def diffusers_tiles(graph: Graph, latent: torch.Tensor, tile: int) -> torch.Tensor:
    """diffusers' tiled decode of the same graph, its overlap of a quarter."""
    channels = latent.shape[1]
    vae = AutoencoderKL(latent_channels=channels, norm_num_groups=1, block_out_channels=(8,) * 4, use_post_quant_conv=False,
                        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)  # fmt: skip
    vae.decoder, vae.post_quant_conv = graph, None
    vae.config.use_post_quant_conv = False
    vae.enable_tiling()
    vae.tile_latent_min_size, vae.tile_sample_min_size = tile, 8 * tile
    return vae.tiled_decode(latent).sample


class Pooled:
    """The extension's full mode: all tiles in step, statistics pooled over padded tiles, attention in each tile."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae

    def norm(self, norm: nn.GroupNorm, tiles: list[torch.Tensor]) -> list[torch.Tensor]:
        """mean = sum w_i mean_i, var = sum w_i var_i, w_i the share of the padded tiles' pixels."""
        grouped = [t.reshape(norm.num_groups, -1) for t in tiles]
        sizes = torch.tensor([g.shape[1] for g in grouped], dtype=torch.float64)
        weights = sizes / sizes.sum()
        mean = sum(w * g.mean(1) for w, g in zip(weights, grouped, strict=True))
        var = sum(w * g.var(1, unbiased=False) for w, g in zip(weights, grouped, strict=True))
        out = []
        for tile, group in zip(tiles, grouped, strict=True):
            unit = ((group - mean[:, None]) / (var[:, None] + norm.eps).sqrt()).reshape(tile.shape)
            out.append(unit * norm.weight[:, None, None] + norm.bias[:, None, None])
        return out

    def resnet(self, block: nn.Module, tiles: list[torch.Tensor]) -> list[torch.Tensor]:
        """norm, SiLU, convolution, twice, and the way around them."""
        inner = [block.conv1(nn.functional.silu(t)) for t in self.norm(block.norm1, tiles)]
        inner = [block.conv2(nn.functional.silu(t)) for t in self.norm(block.norm2, inner)]
        around = [t if block.conv_shortcut is None else block.conv_shortcut(t) for t in tiles]
        return [a + b for a, b in zip(around, inner, strict=True)]

    def attention(self, block: nn.Module, tiles: list[torch.Tensor]) -> list[torch.Tensor]:
        """Each tile looks at itself alone."""
        out = []
        for tile, unit in zip(tiles, self.norm(block.group_norm, tiles), strict=True):
            rows = unit.flatten(2).transpose(1, 2)
            q, k, v = block.to_q(rows), block.to_k(rows), block.to_v(rows)
            seen = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
            out.append(tile + block.to_out[0](seen).transpose(1, 2).reshape(tile.shape))
        return out

    def decode(self, latent: torch.Tensor, tile: int) -> torch.Tensor:
        """Padded tiles through the decoder in step, then their cores side by side."""
        height, width = latent.shape[2:]
        cores = [(y, min(y + tile, height), x, min(x + tile, width)) for y in range(0, height, tile) for x in range(0, width, tile)]
        padded = [(max(a - PAD, 0), min(b + PAD, height), max(c - PAD, 0), min(d + PAD, width)) for a, b, c, d in cores]
        d = self.vae.decoder
        tiles = [self.vae.post_quant_conv(latent[:, :, a:b, c:e]) for a, b, c, e in padded]
        tiles = self.resnet(d.mid_block.resnets[0], [d.conv_in(t) for t in tiles])
        tiles = self.resnet(d.mid_block.resnets[1], self.attention(d.mid_block.attentions[0], tiles))
        for block in d.up_blocks:
            for resnet in block.resnets:
                tiles = self.resnet(resnet, tiles)
            for up in block.upsamplers or []:
                tiles = [up(t) for t in tiles]
        tiles = [d.conv_out(nn.functional.silu(t)) for t in self.norm(d.conv_norm_out, tiles)]
        out = torch.zeros(1, 3, 8 * height, 8 * width, dtype=latent.dtype)
        for made, (a, b, c, e), (pa, _, pc, _) in zip(tiles, cores, padded, strict=True):
            out[:, :, 8 * a : 8 * b, 8 * c : 8 * e] = made[:, :, 8 * (a - pa) : 8 * (b - pa), 8 * (c - pc) : 8 * (e - pc)]
        return out


def tessera(args: argparse.Namespace, latent: Path, mode: str) -> torch.Tensor:
    """The program's decode before rounding."""
    with tempfile.TemporaryDirectory() as scratch:
        dump = Path(scratch, "dump.safetensors")
        run(args, "decode", latent, "-m", args.onnx, "--vae", mode, "--vae-tile", args.tile, "-o", Path(scratch, "o.png"), "--dump", dump)
        return torch.from_numpy(load_file(dump)["image"])


def run(args: argparse.Namespace, *words: object) -> None:
    """One run of the program, which must go well."""
    program.run(args.tessera, *words, "--workers", args.workers)


def drawn(args: argparse.Namespace, scratch: Path) -> Path:
    """A latent that tessera draws."""
    dump, latent = scratch / "render.safetensors", scratch / "latent.safetensors"
    run(args, "render", PROMPT, "-m", args.onnx, *RENDER, "-o", scratch / "render.png", "--dump", dump)
    save_file({"latent": load_file(dump)["hires_latent"]}, latent)
    return latent


def figures(image: torch.Tensor, truth: torch.Tensor) -> str:
    """Largest error, PSNR over -1..1, and the largest shift of a channel's mean in levels of 255."""
    apart = image.double() - truth.double()
    psnr = -10 * torch.log10((apart / 2).pow(2).mean()).item()
    shift = apart.mean((0, 2, 3)).abs().max().item() * 127.5
    return f"largest error {apart.abs().max().item():8.1e}   {psnr:6.1f} dB   channel shift {shift:6.3f} of 255"


def side_by_side(path: Path, truth: torch.Tensor, shown: dict[str, torch.Tensor]) -> None:
    """Each picture over its difference from the untiled one, enlarged."""
    width, height = truth.shape[3], truth.shape[2]
    page = Image.new("RGB", (len(shown) * (width + 8) - 8, 2 * height + 40), "white")
    draw = ImageDraw.Draw(page)
    for i, (name, image) in enumerate(shown.items()):
        x = i * (width + 8)
        apart = (image.double() - truth.double()) * GAIN
        for y, planes in ((18, image), (height + 38, apart)):
            levels = ((planes.clamp(-1, 1) + 1) * 127.5).round().byte()[0].permute(1, 2, 0).numpy()
            page.paste(Image.fromarray(levels), (x, y))
        draw.text((x + 2, 3), name, fill="black")
        draw.text((x + 2, height + 23), f"difference from the untiled decode, {GAIN} times", fill="black")
    page.save(path)


def parsed() -> argparse.Namespace:
    """The arguments, checked."""
    parser = argparse.ArgumentParser(description="Compare tiled decodes of one latent.")
    parser.add_argument("tessera", help="the program, a path or a name on PATH")
    parser.add_argument("--onnx", type=Path, default=DEMO, help="ONNX folder (the demo model)")
    parser.add_argument("--torch", type=Path, help="diffusers folder with the same weights")
    parser.add_argument("--latent", type=Path, help="latent file, scaled as the UNet sees it")
    parser.add_argument("--tile", type=int, default=32, help="tile, latents (32)")
    parser.add_argument("--workers", default="cpu:1,cpu:1", help="as tessera's --workers")
    parser.add_argument("--picture", type=Path, help="write the decodes side by side")
    parser.add_argument("--at-most", type=float, help="end with 1 where the exact decode's error is larger")
    args = parser.parse_args()
    args.tessera = program.found(parser, args.tessera)
    return args


@torch.no_grad()
def main() -> None:
    """Prints a line for each way."""
    args = parsed()
    torch.set_num_threads(1)
    graph = Graph(args.onnx / "vae_decoder" / "model.onnx")
    config = AutoencoderKL.load_config(args.onnx / "vae_decoder")
    with tempfile.TemporaryDirectory() as scratch:
        file = args.latent or drawn(args, Path(scratch))
        z = torch.from_numpy(load_file(file)["latent"].astype(np.float32)) / np.float32(config["scaling_factor"])
        ways: dict[str, Callable[[], torch.Tensor]] = {"ONNX Runtime, untiled": lambda: graph(z)}
        truth = graph(z)
        if args.torch:
            vae = AutoencoderKL.from_pretrained(args.torch / "vae", torch_dtype=torch.float64)
            truth = vae.decode(z.double()).sample
            ways["pooled as Tiled VAE"] = lambda: Pooled(vae).decode(z.double(), args.tile)
        ways["diffusers' tiling"] = lambda: diffusers_tiles(graph, z, args.tile)
        for mode in ("blend", "fast", "exact"):
            ways[f"tessera --vae {mode}"] = lambda mode=mode: tessera(args, file, mode)
        print(f"{z.shape[3]}x{z.shape[2]} latents in tiles of {args.tile}, against {'torch in float64' if args.torch else 'the untiled graph'}")
        made = {name: way() for name, way in ways.items()}
    for name, image in made.items():
        print(f"{name:22s} {figures(image, truth)}")
    if args.picture:
        shown = ("diffusers' tiling", "tessera --vae exact")
        side_by_side(args.picture, truth, {name: made[name] for name in shown})
    error = (made["tessera --vae exact"].double() - truth.double()).abs().max().item()
    if args.at_most is not None and args.at_most < error:
        raise SystemExit(f"the exact decode's error is above {args.at_most}")


if __name__ == "__main__":
    main()
