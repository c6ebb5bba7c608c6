#!/usr/bin/env python3
"""The committed tiny model in; latents of whole renders, by two independent loops each, out.

    python golden_render.py [GOLDEN]    writes render_base.* and render_hires.* (.safetensors and .json)

Both loops run the same ONNX graphs on one thread.  One is k-diffusion's own sampler around continuous timesteps,
the other diffusers' pipeline.  The committed tensors are k-diffusion's; the JSON says how far diffusers' are from
them, and the run ends if that is over LIMIT.  Tensors have the names of `tessera render --dump`, behind the case's
name: `base_latent` and `hires_latent` are what diffusers calls latents (before the division by scaling_factor),
`hires_start` is x = latent + noise * sigma, also for DDIM.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from optimum.onnxruntime import ORTStableDiffusionImg2ImgPipeline, ORTStableDiffusionPipeline
from runtime import GOLDEN, Guided, Networks, largest_difference, pipeline, rounded, write_golden
from schedules import ddim_levels, describe, diffusers_scheduler, first_scale, levels, solve

PROMPT, NEGATIVE, CFG, SEED = "a photo of a cat", "blurry", 7.5, 5
SIDE, STEPS, SCALE = 192, 8, 2  # px, of the base picture
LIMIT = 1e-3


@dataclass(frozen=True)
class Base:
    """One base pass."""

    sampler: str
    schedule: str
    side: int = SIDE
    steps: int = STEPS

    @property
    def name(self) -> str:
        """euler.normal, or euler.normal.64 where the side is not the usual one."""
        return f"{self.sampler}.{self.schedule}" + ("" if self.side == SIDE else f".{self.side}")

    def args(self) -> list[str]:
        """The flags of `tessera render`, without model, output and workers."""
        pairs = {
            "-n": NEGATIVE, "--width": self.side, "--height": self.side, "--steps": self.steps, "--cfg": CFG,
            "--seed": SEED, "--rng": "cpu", "--sampler": self.sampler, "--schedule": self.schedule,
        }  # fmt: skip
        return [PROMPT, *(text for pair in pairs.items() for text in map(str, pair))]


@dataclass(frozen=True)
class Hires:
    """One hires pass over the base pass of the same sampler and schedule."""

    sampler: str
    schedule: str
    arithmetic: str
    steps: int
    strength: float

    @property
    def name(self) -> str:
        """diffusers.euler.normal."""
        return f"{self.arithmetic}.{self.sampler}.{self.schedule}"

    def plan(self) -> tuple[int, int]:
        """Length of the schedule and how many of its last steps run.

        diffusers: of `steps`, the last int(steps * strength); A1111: `steps` of int(steps / strength).
        """
        if self.arithmetic == "diffusers":
            return self.steps, int(self.steps * self.strength)
        return int(self.steps / min(self.strength, 0.999)), self.steps

    def args(self) -> list[str]:
        """The flags of `tessera render` that the base pass does not have."""
        pairs = {
            "--scale": SCALE, "--upscaler": "latent", "--hires-steps": self.steps, "--denoise": self.strength,
            "--strength-steps": self.arithmetic, "--tile": SIDE * SCALE // 8,
        }  # fmt: skip
        return [text for pair in pairs.items() for text in map(str, pair)]


BASES = [
    *(Base(sampler, "normal") for sampler in ("euler", "euler-a", "heun", "dpmpp-2m", "ddim")),
    *(Base(sampler, schedule) for sampler in ("euler", "dpmpp-2m") for schedule in ("karras", "exponential")),
    Base("euler", "normal", side=64, steps=4),
]
HIRES = [
    Hires("euler", "normal", "diffusers", 10, 0.6),
    Hires("ddim", "normal", "diffusers", 10, 0.6),
    Hires("euler", "normal", "a1111", 5, 0.4),
    Hires("dpmpp-2m", "karras", "a1111", 5, 0.4),
    Hires("euler-a", "normal", "a1111", 5, 0.4),
]


def seeded() -> torch.Generator:
    """The job's generator on the CPU."""
    return torch.Generator().manual_seed(SEED)


def sigmas_of(sampler: str, schedule: str, steps: int) -> torch.Tensor:
    """[steps + 1] levels; DDIM has its own whatever the schedule."""
    return ddim_levels(steps) if sampler == "ddim" else levels(schedule, steps)


class Oracle:
    """The networks and both pipelines, loaded once."""

    def __init__(self) -> None:
        self.networks = Networks()
        self.eps = Guided(self.networks, PROMPT, NEGATIVE, CFG)
        self.text_to_image = pipeline(ORTStableDiffusionPipeline)
        self.image_to_image = pipeline(ORTStableDiffusionImg2ImgPipeline)

    def base(self, case: Base) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit noise and the latent, by k-diffusion."""
        generator = seeded()
        noise = torch.randn(1, 4, case.side // 8, case.side // 8, generator=generator)
        sigmas = sigmas_of(case.sampler, case.schedule, case.steps)
        start = noise * first_scale(case.sampler, sigmas)
        return noise, solve(case.sampler, sigmas, start, self.eps, generator)

    def base_by_diffusers(self, case: Base) -> torch.Tensor | None:
        """The latent, by diffusers' own pipeline and noise."""
        scheduler = diffusers_scheduler(case.sampler, case.schedule)
        if scheduler is None:
            return None
        self.text_to_image.scheduler = scheduler
        made = self.text_to_image(
            prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=CFG, num_inference_steps=case.steps,
            width=case.side, height=case.side, generator=seeded(), output_type="latent",
        )  # fmt: skip
        return torch.as_tensor(made.images)

    def hires(self, case: Hires, upscaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noise, the noised start and the latent, by k-diffusion."""
        length, runs = case.plan()
        sigmas = sigmas_of(case.sampler, case.schedule, length)[length - runs :]
        generator = seeded()
        noise = torch.randn(upscaled.shape, generator=generator)
        # diffusers' DDIM adds sqrt(a) * latent + sqrt(1 - a) * noise: the same divided by sqrt(1 + sigma^2)
        start = upscaled + noise * sigmas[0]
        return noise, start, solve(case.sampler, sigmas, start, self.eps, generator)

    def hires_by_diffusers(self, case: Hires, upscaled: torch.Tensor) -> torch.Tensor | None:
        """The latent, by diffusers' image-to-image, which takes a latent of four channels as it is."""
        scheduler = diffusers_scheduler(case.sampler, case.schedule)
        if scheduler is None:
            return None
        length, runs = case.plan()
        self.image_to_image.scheduler = scheduler
        made = self.image_to_image(
            prompt=PROMPT, negative_prompt=NEGATIVE, image=upscaled, guidance_scale=CFG, num_inference_steps=length,
            strength=(runs + 0.5) / length if case.arithmetic == "a1111" else case.strength,
            generator=seeded(), output_type="latent",
        )  # fmt: skip
        return torch.as_tensor(made.images)


def judged(name: str, ours: torch.Tensor, theirs: torch.Tensor | None) -> dict[str, float | None]:
    """What the JSON says of a latent; ends the run if the references disagree."""
    difference = None if theirs is None else largest_difference(ours, theirs)
    if difference is not None and difference > LIMIT:
        raise SystemExit(f"{name}: k-diffusion and diffusers differ by {difference}")
    high = float(ours.abs().max())
    print(f"  {name:32s} max |latent| {high:6.2f}   k-diffusion against diffusers {difference}")
    return {
        "max_abs_latent": rounded(high), "max_abs_difference": None if difference is None else rounded(difference),
    }  # fmt: skip


def golden_base(oracle: Oracle, folder: Path) -> dict[str, torch.Tensor]:
    """Writes render_base; the latents by case name."""
    tensors: dict[str, object] = {
        "prompt_embeds": oracle.networks.embed(PROMPT), "negative_embeds": oracle.networks.embed(NEGATIVE),
    }  # fmt: skip
    cases, latents = [], {}
    for case in BASES:
        noise, latent = oracle.base(case)
        latents[case.name] = latent
        tensors[f"base_noise.{case.side}"] = noise
        tensors[f"{case.name}.base_latent"] = latent
        if case.side != SIDE:
            tensors[f"{case.name}.decoded"] = oracle.networks.decode(latent.numpy())
        cases.append({
            "name": case.name, "args": [*case.args(), "--scale", "1"],
            **judged(case.name, latent, oracle.base_by_diffusers(case)),
            "diffusers": describe(diffusers_scheduler(case.sampler, case.schedule)),
        })  # fmt: skip
    facts = {
        "about": "txt2img latents of tests/models/tiny-sd15; a case's tensors are NAME.base_latent [1,4,h,w], "
        "for the small one also NAME.decoded [1,3,8h,8w] (the decoder's output, about -1..1); base_noise.SIDE "
        "is unit noise; prompt_embeds and negative_embeds [1,77,32] belong to all",
        "reference": "k-diffusion; max_abs_difference is that to diffusers' pipeline",
        "cases": cases,
    }
    write_golden("render_base", tensors, facts, folder)
    return latents


def golden_hires(oracle: Oracle, bases: dict[str, torch.Tensor], folder: Path) -> None:
    """Writes render_hires."""
    tensors, cases = {}, []
    for case in HIRES:
        base = next(b for b in BASES if (b.sampler, b.schedule, b.side) == (case.sampler, case.schedule, SIDE))
        upscaled = F.interpolate(bases[base.name], scale_factor=SCALE, mode="bilinear", align_corners=False)
        noise, start, latent = oracle.hires(case, upscaled)
        tensors["hires_noise"] = noise
        tensors[f"{base.name}.upscaled_latent"] = upscaled
        tensors[f"{case.name}.hires_start"] = start
        tensors[f"{case.name}.hires_latent"] = latent
        length, runs = case.plan()
        cases.append({
            "name": case.name, "base": base.name, "args": [*base.args(), *case.args()],
            "schedule_length": length, "steps_run": runs,
            **judged(case.name, latent, oracle.hires_by_diffusers(case, upscaled)),
            "diffusers": describe(diffusers_scheduler(case.sampler, case.schedule)),
        })  # fmt: skip
    facts = {
        "about": "hires passes of tests/models/tiny-sd15, one tile covering all; a case's tensors are "
        "BASE.upscaled_latent, NAME.hires_start, NAME.hires_latent [1,4,h,w]; hires_noise belongs to all; "
        "the base latents are in render_base",
        "reference": "k-diffusion; max_abs_difference is that to diffusers' image-to-image pipeline",
        "cases": cases,
    }
    write_golden("render_hires", tensors, facts, folder)


@torch.no_grad()
def main() -> None:
    """Writes both files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    torch.set_num_threads(1)
    oracle = Oracle()
    golden_hires(oracle, golden_base(oracle, folder), folder)


if __name__ == "__main__":
    main()
