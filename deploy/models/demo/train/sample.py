"""Draws with the model in torch: a sheet of prompts while it trains, and pictures for the score.

    python sample.py OUT sheet.png
"""

import sys

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image

from team import DEVICE

NOISE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
PROMPTS = [
    "a red house by the sea at sunset, pine trees, clouds",
    "a white house at noon, green meadow, round trees, clear sky, sun",
    "a blue house at night, snow, pine trees, moon",
    "a landscape by a river at dawn, mountains, green meadow, clouds",
    "a yellow house at noon, desert sand, palm trees, sun",
    "a view by the sea at night, moon, clear sky, boats",
    "a castle at sunset, green meadow, hills, clouds, sun",
    "a village at noon, snow, pine trees, mountains, clear sky",
]


def pipeline(vae, text, tok, unet):
    """Stable Diffusion with Euler's sampler from its parts."""
    scheduler = EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **NOISE)
    pipe = StableDiffusionPipeline(vae, text, tok, unet, scheduler, None, None, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def load(folder):
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None).to(DEVICE)
    return pipeline(pipe.vae, pipe.text_encoder, pipe.tokenizer, pipe.unet)


@torch.no_grad()
def draw(pipe, prompts, seeds, size=128, steps=20, cfg=4.0):
    """uint8 [N, size, size, 3], a picture for each prompt and seed."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    out = pipe(prompts, height=size, width=size, num_inference_steps=steps, guidance_scale=cfg,
               negative_prompt=[""] * len(prompts), generator=generators, output_type="np").images
    return (out * 255).round().astype(np.uint8)


def sheet(pipe, path, seeds=(0, 100)):
    """A column a prompt, a row a seed."""
    rows = [draw(pipe, PROMPTS, [s + i for i in range(len(PROMPTS))]) for s in seeds]
    Image.fromarray(np.concatenate([np.concatenate(list(r), 1) for r in rows])).save(path)


if __name__ == "__main__":
    sheet(load(sys.argv[1]), sys.argv[2])
