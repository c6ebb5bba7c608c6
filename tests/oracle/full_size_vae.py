#!/usr/bin/env python3
"""The `tessera` program in; how exact its tiled VAE is at the size of Stable Diffusion 1.x, and what it costs, out.

    python full_size_vae.py TESSERA --work DIR [--latents 48] [--tile 24] [--ratio 256]
    python full_size_vae.py TESSERA --onnx MODEL --torch DIFFUSERS     another autoencoder, weights in both folders

DIR keeps a model folder that is made once: the tests' tiny networks around an autoencoder of SD 1.x's own shape (84
million weights, random, seeded).  One latent is decoded, and one picture encoded, untiled and in tiles; torch in
float64 is the truth, and an error of the exact mode above 2e-5 ends the run with 1.  --ratio SIDE also decodes
SIDE x SIDE latents (256: 2048 x 2048 px) in the exact and the blend mode and prints how their times compare.

Needs the packages of deploy/export-model/setup.sh, 8 GB of memory, and some minutes.
"""

import argparse
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import program
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_models import make_sd15, spice

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parents[1] / "deploy" / "export-model"
SCALING = 0.18215
BOUND = 2e-5  # largest error of the exact mode


def make_vae() -> AutoencoderKL:
    """Stable Diffusion 1.x's autoencoder, random."""
    torch.manual_seed(5)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=512, scaling_factor=SCALING,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512], layers_per_block=2, norm_num_groups=32,
    )  # fmt: skip
    return spice(vae, 15)


def model_folder(work: Path) -> Path:
    """The ONNX folder in `work`, made where it is not there yet; the weights lie beside it."""
    onnx = work / "onnx"
    if not onnx.exists():
        shutil.rmtree(work / "diffusers", ignore_errors=True)
        make_sd15(work / "diffusers")
        make_vae().save_pretrained(work / "diffusers" / "vae")
        program.run(sys.executable, EXPORT / "export_model.py", work / "diffusers", onnx)
    return onnx


class Program:
    """Runs of `tessera` on one model folder."""

    def __init__(self, args: argparse.Namespace, model: Path, scratch: Path) -> None:
        self.args, self.model, self.scratch = args, model, scratch

    def decode(self, latent: Path, flags: str) -> tuple[np.ndarray, float]:
        """The picture before rounding, and the processor's seconds."""
        dump = self.scratch / "image.safetensors"
        seconds = self.half("decode", latent, self.scratch / "o.png", f"{flags} --dump {dump}")
        return load_file(dump)["image"], seconds

    def encode(self, picture: Path, flags: str) -> tuple[np.ndarray, float]:
        """The posterior's mean, scaled, and the seconds."""
        out = self.scratch / "o.safetensors"
        out.unlink(missing_ok=True)
        seconds = self.half("encode", picture, out, flags)
        return load_file(out)["latent"], seconds

    def half(self, what: str, source: Path, out: Path, flags: str) -> float:
        """`tessera decode` or `encode`; the processor's seconds, all processes and threads, which other work on the
        machine hardly changes."""
        out.unlink(missing_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        machines = ["--workers", self.args.workers]
        program.run(self.args.tessera, what, source, "-m", self.model, "-o", out, *machines, *flags.split())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def noise(side: int, scaling: float, scratch: Path) -> Path:
    """A latent file, scaled as the UNet sees it: noise over a slope, so that tiles differ."""
    generator = torch.Generator().manual_seed(side)
    slope = torch.linspace(-1, 1, side)
    latent = torch.randn((1, 4, side, side), generator=generator) * 0.7 + slope + slope[:, None]
    path = scratch / f"l{side}.safetensors"
    save_file({"latent": latent.numpy() * np.float32(scaling)}, path)
    return path


def scene(side: int, scratch: Path) -> Path:
    """A picture file: slopes, squares and grain."""
    y, x = np.mgrid[:side, :side]
    planes = [x * 255 // side, y * 255 // side, 255 * ((x // 16 + y // 16) % 2)]
    grain = np.random.default_rng(3).integers(0, 60, (side, side, 3))
    path = scratch / "picture.png"
    Image.fromarray((np.stack(planes, -1) * 3 // 4 + grain).clip(0, 255).astype(np.uint8)).save(path)
    return path


def told(what: str, made: tuple[np.ndarray, float], truth: np.ndarray, untiled: float) -> float:
    """Prints one line; returns the largest error."""
    image, seconds = made
    error = float(np.abs(image.astype(np.float64) - truth).max())
    print(f"{what:34s} largest error {error:8.1e}   {seconds:7.1f} s of processor time = {seconds / untiled:.2f} of untiled", flush=True)
    return error


def compare_decode(tessera: Program, vae: AutoencoderKL, args: argparse.Namespace) -> float:
    """The exact decode's error."""
    scaling = np.float32(vae.config.scaling_factor)
    latent = noise(args.latents, scaling, tessera.scratch)
    truth = vae.decode(torch.from_numpy(load_file(latent)["latent"] / scaling).double()).sample.numpy()
    print(f"decode of {args.latents}x{args.latents} latents; values to {np.abs(truth).max():.1f}", flush=True)
    whole = tessera.decode(latent, "--vae off")
    told("untiled", whole, truth, whole[1])
    return told(f"exact, tiles of {args.tile}", tessera.decode(latent, f"--vae-tile {args.tile}"), truth, whole[1])


def compare_encode(tessera: Program, vae: AutoencoderKL, args: argparse.Namespace) -> float:
    """The exact encode's error."""
    side = 8 * args.latents
    picture = scene(side, tessera.scratch)
    pixels = torch.from_numpy(np.array(Image.open(picture))).permute(2, 0, 1)[None].double() / 127.5 - 1
    truth = vae.encode(pixels).latent_dist.mean.numpy() * vae.config.scaling_factor
    print(f"encode of {side}x{side} px; values to {np.abs(truth).max():.1f}", flush=True)
    whole = tessera.encode(picture, "--vae off")
    told("untiled", whole, truth, whole[1])
    flags = f"--vae-encode-tile {8 * args.tile}"
    return told(f"exact, tiles of {8 * args.tile} px", tessera.encode(picture, flags), truth, whole[1])


def compare_modes(tessera: Program, side: int) -> None:
    """Processor time of the exact and the blend mode."""
    latent = noise(side, SCALING, tessera.scratch)
    seconds = {mode: tessera.decode(latent, f"--vae {mode} --vae-tile 64")[1] for mode in ("blend", "exact")}
    ratio = seconds["exact"] / seconds["blend"]
    print(f"{8 * side}x{8 * side} px in tiles of 64 latents, processor time: exact {seconds['exact']:.1f} s, blend {seconds['blend']:.1f} s: {ratio:.2f}x", flush=True)


def parsed() -> argparse.Namespace:
    """The arguments, checked."""
    parser = argparse.ArgumentParser(description="The tiled VAE at the size of Stable Diffusion 1.x.")
    parser.add_argument("tessera", help="the program, a path or a name on PATH")
    parser.add_argument("--work", type=Path, help="folder that keeps the model")
    parser.add_argument("--onnx", type=Path, help="ONNX folder, instead of the model made in --work")
    parser.add_argument("--torch", type=Path, help="diffusers folder with the weights of --onnx")
    parser.add_argument("--latents", type=int, default=48, help="side of the latent (48)")
    parser.add_argument("--tile", type=int, default=24, help="tile, latents (24)")
    parser.add_argument("--ratio", type=int, metavar="SIDE", help="compare the times of exact and blend, latents")
    parser.add_argument("--workers", default="cpu:2", help="as tessera's --workers")
    args = parser.parse_args()
    if (args.onnx is None) != (args.torch is None) or (args.onnx is None) == (args.work is None):
        parser.error("give --work DIR, or both --onnx and --torch")
    args.tessera = program.found(parser, args.tessera)
    return args


@torch.no_grad()
def main() -> None:
    """Prints a line for each way."""
    args = parsed()
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
        args.onnx, args.torch = model_folder(args.work), args.work / "diffusers"
    with tempfile.TemporaryDirectory() as scratch:
        tessera = Program(args, args.onnx, Path(scratch))
        if args.ratio:
            compare_modes(tessera, args.ratio)
            return
        vae = AutoencoderKL.from_pretrained(args.torch / "vae", torch_dtype=torch.float64)
        errors = compare_decode(tessera, vae, args), compare_encode(tessera, vae, args)
    if BOUND < max(errors):
        raise SystemExit(f"an error of the exact mode is above {BOUND}")


if __name__ == "__main__":
    main()
