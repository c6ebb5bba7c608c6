"""A sampler's and a schedule's name in; k-diffusion's noise levels and diffusers' scheduler on those levels out.

The two libraries mean the same by Euler, Heun ... but space their steps differently.  Where diffusers has an option
for the same levels it is used as it stands; where it rounds timesteps (DPM++ 2M) its tables are overwritten.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    SchedulerMixin,
)
from runtime import TRAINING, k_diffusion

Prediction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

sampling, external = k_diffusion()
ALPHAS = DDIMScheduler(**TRAINING).alphas_cumprod
TABLE = external.DiscreteEpsDDPMDenoiser(None, ALPHAS, quantize=False)
SOLVERS = {
    "euler": sampling.sample_euler,
    "euler-a": sampling.sample_euler_ancestral,
    "heun": sampling.sample_heun,
    "dpmpp-2m": sampling.sample_dpmpp_2m,
}


def levels(schedule: str, steps: int) -> torch.Tensor:
    """[steps + 1] sigmas from high to low, the last one 0."""
    low, high = float(TABLE.sigma_min), float(TABLE.sigma_max)
    if schedule == "normal":
        return TABLE.get_sigmas(steps)
    if schedule == "karras":
        return sampling.get_sigmas_karras(steps, low, high)
    if schedule == "exponential":
        return sampling.get_sigmas_exponential(steps, low, high)
    raise ValueError(f"no schedule is called {schedule}")


def ddim_levels(steps: int) -> torch.Tensor:
    """[steps + 1] sigmas of DDIM's timesteps 1 + k * (1000 // steps), from high to low, then that of timestep 0."""
    timesteps = torch.arange(steps) * (1000 // steps) + 1
    return TABLE.sigmas[torch.cat([timesteps.flip(0), torch.zeros(1, dtype=timesteps.dtype)])]


class Continuous(DPMSolverMultistepScheduler):
    """DPM-Solver++(2M) on given levels, its timesteps not rounded, starting from noise * sigma as k-diffusion does.

    diffusers scales its state by 1 / sqrt(1 + sigma^2); hence the start below.
    """

    schedule: str

    def set_timesteps(self, num_inference_steps: int, device: str | None = None) -> None:  # noqa: ARG002
        """Takes the tables of `levels` instead of its own."""
        super().set_timesteps(num_inference_steps)
        self.sigmas = levels(self.schedule, num_inference_steps)
        self.timesteps = TABLE.sigma_to_t(self.sigmas[:-1])
        high = float(self.sigmas[0])
        self.init_noise_sigma = high / math.sqrt(1 + high * high)


def diffusers_scheduler(sampler: str, schedule: str) -> SchedulerMixin | None:
    """The scheduler that does the same arithmetic, or None where diffusers has none."""
    spacing = {"timestep_spacing": "linspace"}
    if schedule in ("karras", "exponential"):
        spacing[f"use_{schedule}_sigmas"] = True
    if sampler == "euler":
        return EulerDiscreteScheduler(**TRAINING, **spacing)
    if sampler == "heun":
        return HeunDiscreteScheduler(**TRAINING, **spacing)
    if sampler == "euler-a" and schedule == "normal":
        return EulerAncestralDiscreteScheduler(**TRAINING, **spacing)
    if sampler == "ddim":
        return DDIMScheduler(
            **TRAINING, timestep_spacing="leading", steps_offset=1, clip_sample=False, set_alpha_to_one=False
        )
    if sampler == "dpmpp-2m":
        made = Continuous(**TRAINING, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero")
        made.schedule = schedule
        return made
    return None


def describe(scheduler: SchedulerMixin | None) -> str | None:
    """The class as diffusers calls it and the options that were not left at their defaults."""
    if scheduler is None:
        return None
    name = type(scheduler).__mro__[1 if isinstance(scheduler, Continuous) else 0].__name__
    if isinstance(scheduler, Continuous):
        return f"{name} with k-diffusion's levels, timesteps not rounded, started from noise * sigma"
    shown = ("timestep_spacing", "use_karras_sigmas", "use_exponential_sigmas", "steps_offset")
    chosen = {key: scheduler.config[key] for key in shown if scheduler.config.get(key)}
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in chosen.items())})"


def solve(
    sampler: str, sigmas: torch.Tensor, start: torch.Tensor, eps: Prediction, generator: torch.Generator
) -> torch.Tensor:
    """Runs k-diffusion's own loop from x = latent + noise * sigmas[0]; the result is a latent as diffusers has it.

    DDIM with eta 0 is Euler on DDIM's levels; its last level is not 0, so the result returns to diffusers' scale,
    x / sqrt(1 + sigma^2).  Ancestral noise continues `generator`.
    """
    denoiser = external.DiscreteEpsDDPMDenoiser(eps, ALPHAS, quantize=False)
    if sampler == "ddim":
        return sampling.sample_euler(denoiser, start, sigmas, disable=True) / (1 + sigmas[-1] ** 2).sqrt()
    more = {}
    if sampler == "euler-a":
        more["noise_sampler"] = lambda _from, _to: torch.randn(start.shape, generator=generator)
    return SOLVERS[sampler](denoiser, start, sigmas, disable=True, **more)


def first_scale(sampler: str, sigmas: torch.Tensor) -> float:
    """What the base pass multiplies unit noise by.

    sigma; or sqrt(1 + sigma^2) for DDIM, whose pure noise has size 1 in diffusers' scale.
    """
    high = float(np.float64(sigmas[0]))
    return math.sqrt(1 + high * high) if sampler == "ddim" else high
