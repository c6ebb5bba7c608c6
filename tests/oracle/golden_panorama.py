#!/usr/bin/env python3
"""The tiny model in; the final latent of diffusers' panorama, MultiDiffusion over nine views, out.

    python golden_panorama.py MODELS [GOLDEN]      writes panorama.safetensors and panorama.json

diffusers steps every view by itself in torch and averages the results; the second reference averages the prediction
over the views in ONNX Runtime and steps the canvas once.  For DDIM they are equal but for rounding.
"""

import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPanoramaPipeline
from golden_render import CFG, LIMIT, NEGATIVE, PROMPT, SEED, seeded
from runtime import GOLDEN, Guided, Networks, largest_difference, rounded, write_golden
from schedules import ddim_levels, describe, diffusers_scheduler, first_scale, solve

HEIGHT, WIDTH, WINDOW, STRIDE, STEPS = 64, 128, 64, 8, 4  # latents; diffusers has no option for window and stride


def by_diffusers(models: Path) -> torch.Tensor:
    """The pipeline as it is, on the torch weights."""
    pipe = StableDiffusionPanoramaPipeline.from_pretrained(models / "tiny-sd15", safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers_scheduler("ddim", "normal")
    return torch.as_tensor(pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=CFG, num_inference_steps=STEPS,
        height=8 * HEIGHT, width=8 * WIDTH, generator=seeded(), output_type="latent",
    ).images)  # fmt: skip


def by_canvas() -> torch.Tensor:
    """One solver on the whole canvas, the prediction averaged over the views that cover a cell."""
    eps = Guided(Networks(), PROMPT, NEGATIVE, CFG)

    def averaged(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        total, count = torch.zeros_like(x), torch.zeros_like(x)
        for left in range(0, WIDTH - WINDOW + 1, STRIDE):
            view = (..., slice(left, left + WINDOW))
            total[view] += eps(x[view], t)
            count[view] += 1
        return total / count

    generator, sigmas = seeded(), ddim_levels(STEPS)
    noise = torch.randn(1, 4, HEIGHT, WIDTH, generator=generator)
    return solve("ddim", sigmas, noise * first_scale("ddim", sigmas), averaged, generator)


@torch.no_grad()
def main() -> None:
    """Writes the golden; ends if the two references disagree."""
    models = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else GOLDEN
    torch.set_num_threads(1)
    latent = by_diffusers(models)
    difference = largest_difference(latent, by_canvas())
    if difference > LIMIT:
        raise SystemExit(f"panorama: diffusers and the canvas loop differ by {difference}")
    facts = {
        "about": "base_latent [1,4,64,128] of tests/models/tiny-sd15, nine views of 64x64 every 8 latents",
        "reference": "diffusers' StableDiffusionPanoramaPipeline in torch; the difference is that to one solver on "
        "the canvas with ONNX Runtime",
        "args": [
            PROMPT, "-n", NEGATIVE, "--width", str(8 * WIDTH), "--height", str(8 * HEIGHT), "--scale", "1",
            "--steps", str(STEPS), "--cfg", str(CFG), "--seed", str(SEED), "--rng", "cpu", "--sampler", "ddim",
            "--tile-base", "--tile", str(WINDOW), "--overlap", str(WINDOW - STRIDE),
        ],
        "diffusers": describe(diffusers_scheduler("ddim", "normal")),
        "max_abs_latent": rounded(float(latent.abs().max())),
        "max_abs_difference": rounded(difference),
    }  # fmt: skip
    print(f"panorama: max |latent| {facts['max_abs_latent']}, references differ by {difference:.3g}")
    write_golden("panorama", {"base_latent": latent}, facts, folder)


if __name__ == "__main__":
    main()
