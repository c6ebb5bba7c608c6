#!/usr/bin/env python3
"""The `tessera` program in; its time and diffusers' on the same weights, tiles and cores, and the ratio, out.

    python peer_panorama.py TESSERA [--torch DIR --onnx DIR] [--height 64 --width 128 --window 64 --stride 8 ...]

Both make the same MultiDiffusion latent (DDIM, the tiles given, in latents) in turn, --runs times each, on the same
--cores, and the best times count.  diffusers' is its denoising loop in torch without loading; ours is the base
stage as --report gives it, transport between processes included, and beside it the whole command with start and
loading.  The latents are compared too: a fast wrong answer is no answer.  --at-least RATIO makes it a test.
Without --torch and --onnx, the tiny random model of tests/models is used.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPanoramaPipeline
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch_file

HERE = Path(__file__).resolve().parent
PROMPT, NEGATIVE, CFG, SEED = "a photo of a cat", "blurry", 7.5, 5


@dataclass
class Timed:
    """The best of several runs, seconds."""

    loop: float = float("inf")
    whole: float = float("inf")
    cpu: float = float("inf")
    latent: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def better(self, loop: float, whole: float, cpu: float) -> None:
        """Keeps the smaller of each."""
        self.loop, self.whole, self.cpu = min(self.loop, loop), min(self.whole, whole), min(self.cpu, cpu)


class Panorama(StableDiffusionPanoramaPipeline):
    """diffusers' loop with a window and a stride of our choice."""

    window, stride = 64, 8

    def get_views(self, height: int, width: int, *_: Any, **__: Any) -> list[tuple[int, int, int, int]]:
        """(top, bottom, left, right) in latents; the sizes are px."""
        rows, columns = starts(height // 8, self.window, self.stride), starts(width // 8, self.window, self.stride)
        tall, wide = min(self.window, height // 8), min(self.window, width // 8)
        return [(top, top + tall, left, left + wide) for top in rows for left in columns]


def starts(side: int, window: int, stride: int) -> list[int]:
    """Where the windows begin; the last is flush with the edge."""
    last = max(side - window, 0)
    return sorted({*range(0, last + 1, stride), last})


def load_torch(folder: Path, args: argparse.Namespace) -> Panorama:
    """The pipeline with the scheduler that SD 1.x's DDIM means."""
    pipe = Panorama.from_pretrained(folder, safety_checker=None)
    load_text_encoder(pipe, folder)
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading",
        steps_offset=1, clip_sample=False, set_alpha_to_one=False,
    )  # fmt: skip
    pipe.window, pipe.stride = args.window, args.stride
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load_text_encoder(pipe: Panorama, folder: Path) -> None:
    """Its weights by either of their names: transformers 5 saves them without the prefix that 4 looks for, and 4 then
    leaves random ones in place."""
    wanted = pipe.text_encoder.state_dict()
    weights = load_torch_file(folder / "text_encoder" / "model.safetensors")
    named = {name if name in wanted else f"text_model.{name}": weight for name, weight in weights.items()}
    pipe.text_encoder.load_state_dict(named)


def run_torch(pipe: Panorama, args: argparse.Namespace, best: Timed) -> None:
    """One panorama in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=CFG, num_inference_steps=args.steps,
        height=8 * args.height, width=8 * args.width, generator=torch.Generator().manual_seed(SEED),
        output_type="latent",
    )  # fmt: skip
    wall = time.perf_counter() - wall
    best.better(wall, wall, time.process_time() - cpu)
    best.latent = np.asarray(made.images)


def run_tessera(folder: Path, args: argparse.Namespace, best: Timed) -> None:
    """One panorama by the program, local workers and all."""
    with tempfile.TemporaryDirectory() as scratch:
        report, dump = Path(scratch, "report.json"), Path(scratch, "dump.safetensors")
        flags = {
            "--model": folder, "--output": Path(scratch, "out.png"), "--negative": NEGATIVE, "--width": 8 * args.width,
            "--height": 8 * args.height, "--scale": 1, "--steps": args.steps, "--cfg": CFG, "--seed": SEED,
            "--rng": "cpu", "--sampler": "ddim", "--tile": args.window, "--overlap": args.window - args.stride,
            "--tile-grid": "stride", "--workers": args.workers, "--report": report, "--dump": dump,
        }  # fmt: skip
        command = [str(args.tessera), "render", PROMPT, "--tile-base"]
        command += [str(part) for pair in flags.items() for part in pair]
        before, wall = children_cpu(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - wall
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr or done.stdout}")
        loop = stage_seconds(json.loads(report.read_text()), "base")
        best.better(loop, wall, children_cpu() - before)
        best.latent = load_file(dump)["base_latent"]


def children_cpu() -> float:
    """CPU seconds of all ended child processes and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stage_seconds(report: dict[str, Any], wanted: str) -> float:
    """The wall time of a stage."""
    for stage in report.get("stages", []):
        if str(stage.get("stage")).lower() == wanted and "wall_s" in stage:
            return float(stage["wall_s"])
    raise SystemExit(f"the report names no wall time of the {wanted} stage:\n{json.dumps(report)[:2000]}")


@contextlib.contextmanager
def models(args: argparse.Namespace) -> Iterator[tuple[Path, Path]]:
    """The torch and the ONNX folder; makes the tiny torch one where none is given."""
    if args.torch:
        yield args.torch, args.onnx
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-W", "ignore", str(HERE / "tiny_models.py"), scratch]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield Path(scratch, "tiny-sd15"), HERE.parent / "models" / "tiny-sd15"


def parsed() -> argparse.Namespace:
    """The arguments, checked."""
    parser = argparse.ArgumentParser(description="Time tessera against diffusers' panorama loop.")
    parser.add_argument("tessera", help="the program, a path or a name on PATH")
    parser.add_argument("--torch", type=Path, help="diffusers folder with the weights")
    parser.add_argument("--onnx", type=Path, help="ONNX folder with the same weights")
    parser.add_argument("--height", type=int, default=64, help="latents (64)")
    parser.add_argument("--width", type=int, default=128, help="latents (128)")
    parser.add_argument("--window", type=int, default=64, help="side of a tile, latents (64)")
    parser.add_argument("--stride", type=int, default=8, help="latents between tiles (8)")
    parser.add_argument("--steps", type=int, default=4, help="DDIM steps (4)")
    parser.add_argument("--runs", type=int, default=2, help="runs of each side; the best counts (2)")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="cores for either side (all)")
    parser.add_argument("--workers", help="as tessera's --workers (default: cpu:1 for each core)")
    parser.add_argument("--at-least", type=float, default=0.0, help="end with 1 below this ratio")
    args = parser.parse_args()
    if bool(args.torch) != bool(args.onnx):
        parser.error("--torch and --onnx go together: they are the same weights")
    found = shutil.which(args.tessera)
    if not found:
        parser.error(f"no program at {args.tessera}: build it with cargo build --release")
    args.tessera = Path(found).resolve()
    args.workers = args.workers or ",".join(["cpu:1"] * args.cores)
    return args


@torch.no_grad()
def main() -> None:
    """Runs both and prints one line each, then the ratio."""
    args = parsed()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    torch.set_num_threads(args.cores)
    theirs, ours = Timed(), Timed()
    with models(args) as (torch_folder, onnx_folder):
        pipe = load_torch(torch_folder, args)
        tiles = len(pipe.get_views(8 * args.height, 8 * args.width))
        print(f"{args.width}x{args.height} latents, {tiles} tiles of {args.window}, {args.steps} steps")
        for _ in range(args.runs):
            run_torch(pipe, args, theirs)
            run_tessera(onnx_folder, args, ours)
    threads = f"{torch.get_num_threads()} threads on {args.cores} cores"
    print(f"diffusers {theirs.loop:8.2f} s  cpu {theirs.cpu:8.2f} s  torch {torch.__version__}, {threads}")
    print(f"tessera   {ours.loop:8.2f} s  cpu {ours.cpu:8.2f} s  workers {args.workers} on {args.cores} cores")
    print(f"tessera's whole command, with start, loading and decode: {ours.whole:.2f} s")
    difference = float(np.abs(theirs.latent - ours.latent).max())
    ratio = theirs.loop / ours.loop
    print(f"ratio {ratio:.2f} (diffusers' loop by our base stage)")
    print(f"latents differ by {difference:.2g} at most")
    if difference > 1e-3:
        raise SystemExit("the latents are not the same picture")
    if ratio < args.at_least:
        raise SystemExit(f"the ratio is below {args.at_least}")


if __name__ == "__main__":
    main()
