#!/usr/bin/env python3
"""Golden values of the sampling core: schedules, single steps and trajectories of k-diffusion and diffusers.

    python solvers.py GOLDEN        writes GOLDEN/solvers.safetensors and GOLDEN/solvers.json

Canvases are 1x4x8x8, flattened.  States are in k-diffusion's space, x = latent + sigma * noise, also those of DDIM
(diffusers' x times sqrt(1 + sigma^2)); only the `.final` of DDIM is in diffusers' own scale.

    table.KIND.alphas_cumprod                 diffusers' table, KIND scaled_linear or linear
    probe.{sigmas,sigma_to_t,t,t_to_sigma}    k-diffusion's conversions, continuous
    schedule.NAME.STEPS.{sigmas,timesteps}    k-diffusion's; .diffusers = EulerDiscreteScheduler, linspace
    ddim.STEPS.timesteps                      DDIMScheduler, leading, steps_offset 1
    step.SAMPLER.PREDICTION.{x,outputs}       4 steps with random network outputs: x before every call, then the last x
    run.SAMPLER.SCHEDULE.PREDICTION           20 steps with the fake denoiser: x after step 5, 10, 15, 20
    hires.MODE.SAMPLER.{start,final}          20 steps, strength 0.4, Karras (DDIM: its own steps)
    base_noise, tape, latent, noise           what they start from; the tape is the ancestral noise, draw after draw
"""
import importlib.util, json, math, sys, types
import numpy as np, torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline
from safetensors.numpy import save_file

torch.set_num_threads(1)
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
DDIM = dict(timestep_spacing="leading", steps_offset=1, clip_sample=False, set_alpha_to_one=False)
SHAPE = (1, 4, 8, 8)
SCHEDULES = ("normal", "karras", "exponential")
KEPT = (5, 10, 15, 20)


def k_diffusion():
    """k-diffusion's `sampling` and `external` without the training half of the package, which wants torchvision."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = importlib.util.find_spec("k_diffusion").submodule_search_locations
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    package.utils = utils
    import k_diffusion.external as external
    import k_diffusion.sampling as sampling
    return sampling, external


sampling, external = k_diffusion()
SAMPLERS = {"euler": sampling.sample_euler, "euler-a": sampling.sample_euler_ancestral,
            "heun": sampling.sample_heun, "dpmpp-2m": sampling.sample_dpmpp_2m}
ALPHAS = DDIMScheduler(**BETAS, **DDIM).alphas_cumprod


def fake_network(x, t):
    """Any elementwise function of input, position and timestep will do; float32 throughout."""
    i = torch.arange(x.numel(), dtype=torch.float32).reshape(x.shape)
    return 0.8 * x + 0.1 * torch.sin(0.37 * i + 0.01 * float(t))


class Network:
    """Counts and records the calls that a sampler makes."""
    def __init__(self, function): self.function, self.calls = function, 0
    def __call__(self, x, t):
        self.calls += 1
        return self.function(x, t, self.calls - 1)


class Recorder(torch.nn.Module):
    """The k-diffusion denoiser around a network, keeping x of every call."""
    def __init__(self, prediction, function):
        super().__init__()
        wrapper = external.DiscreteEpsDDPMDenoiser if prediction == "epsilon" else external.DiscreteVDDPMDenoiser
        self.inner, self.x = wrapper(Network(function), ALPHAS, quantize=False), []
    def forward(self, x, sigma):
        self.x.append(x.clone())
        return self.inner(x, sigma)


WRAP = Recorder("epsilon", None).inner


def sigmas_of(schedule, n):
    low, high = float(WRAP.sigma_min), float(WRAP.sigma_max)
    if schedule == "normal": return WRAP.get_sigmas(n)
    if schedule == "karras": return sampling.get_sigmas_karras(n, low, high, rho=7.)
    return sampling.get_sigmas_exponential(n, low, high)


def k_run(sampler, sigmas, prediction, x, function, tape):
    """x of every call and at the end."""
    model, draws = Recorder(prediction, function), iter(tape)
    options = {"noise_sampler": lambda *_: next(draws)} if sampler == "euler-a" else {}
    last = SAMPLERS[sampler](model, x, sigmas, disable=True, **options)
    return model.x + [last]


def ddim_run(timesteps, scheduler, x, function):
    """States in k-diffusion's space before every call and after the last, and the last in diffusers' scale."""
    ratio = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    states = []
    for call, t in enumerate(timesteps):
        states.append(x / scheduler.alphas_cumprod[t].sqrt())
        x = scheduler.step(function(x, t, call), t, x).prev_sample
    before = int(timesteps[-1]) - ratio
    alpha = scheduler.alphas_cumprod[before] if before >= 0 else scheduler.final_alpha_cumprod
    return states + [x / alpha.sqrt()], x


def ddim(steps, prediction):
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    scheduler = DDIMScheduler(**BETAS, **DDIM, prediction_type=name)
    scheduler.set_timesteps(steps)
    return scheduler


def tables(out):
    for kind, start, end in (("scaled_linear", 0.00085, 0.012), ("linear", 0.0001, 0.02)):
        scheduler = DDIMScheduler(beta_start=start, beta_end=end, beta_schedule=kind, num_train_timesteps=1000)
        out[f"table.{kind}.alphas_cumprod"] = scheduler.alphas_cumprod
    out["probe.sigmas"] = torch.exp(torch.linspace(math.log(0.02), math.log(20), 97))
    out["probe.sigma_to_t"] = WRAP.sigma_to_t(out["probe.sigmas"])
    out["probe.t"] = torch.linspace(0, 999, 97)
    out["probe.t_to_sigma"] = WRAP.t_to_sigma(out["probe.t"])
    for n in (4, 10, 20, 25, 50):
        for schedule in SCHEDULES:
            key = f"schedule.{schedule}.{n}"
            sigmas = sigmas_of(schedule, n)
            out[key + ".sigmas"], out[key + ".timesteps"] = sigmas, WRAP.sigma_to_t(sigmas[:-1])
            options = {} if schedule == "normal" else {f"use_{schedule}_sigmas": True}
            scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace", **options)
            scheduler.set_timesteps(n)
            out[key + ".diffusers"] = scheduler.sigmas
        out[f"ddim.{n}.timesteps"] = ddim(n, "epsilon").timesteps.float()
    for n in (28, 30, 66):
        out[f"ddim.{n}.timesteps"] = ddim(n, "epsilon").timesteps.float()


def steps(out, tape):
    g = torch.Generator().manual_seed(3)
    outputs = torch.randn(7, *SHAPE, generator=g)
    noise = torch.randn(SHAPE, generator=g)
    for prediction in ("epsilon", "v"):
        function = lambda x, t, call: outputs[call]
        for sampler in SAMPLERS:
            # Exponential: the levels that k-diffusion's f32 rounds least, so that what is compared is the step itself.
            sigmas = sigmas_of("exponential", 4)
            states = k_run(sampler, sigmas, prediction, noise * sigmas[0], function, tape)
            out[f"step.{sampler}.{prediction}.x"] = torch.stack(states)
        scheduler = ddim(4, prediction)
        states, last = ddim_run(scheduler.timesteps, scheduler, noise, function)
        out[f"step.ddim.{prediction}.x"], out[f"step.ddim.{prediction}.final"] = torch.stack(states), last
    out["step.outputs"] = outputs


def runs(out, base_noise, tape):
    function = lambda x, t, call: fake_network(x, t)
    for prediction in ("epsilon", "v"):
        for sampler in SAMPLERS:
            for schedule in SCHEDULES:
                sigmas = sigmas_of(schedule, 20)
                states = k_run(sampler, sigmas, prediction, base_noise * sigmas[0], function, tape)
                per_step = 2 if sampler == "heun" else 1
                kept = [states[min(step * per_step, len(states) - 1)] for step in KEPT]
                out[f"run.{sampler}.{schedule}.{prediction}"] = torch.stack(kept)
        scheduler = ddim(20, prediction)
        states, last = ddim_run(scheduler.timesteps, scheduler, base_noise, function)
        out[f"run.ddim.own.{prediction}"] = torch.stack([states[step] for step in KEPT[:-1]] + [last])


def a1111_hires(n, d):
    """Length of the schedule and first index: A1111's setup_img2img_steps with the step count requested."""
    total = int(n / min(d, 0.999))
    encode = n - 1
    return total, total - encode - 1


def diffusers_img2img(scheduler, n, s):
    """The same by diffusers' own method: length and number of steps left out."""
    pipe = types.SimpleNamespace(scheduler=scheduler)
    left, count = StableDiffusionImg2ImgPipeline.get_timesteps(pipe, n, s, "cpu")
    return n, n - count


def starts():
    """Where the second pass starts, for every way of counting."""
    rows = []
    for d in (0.2, 0.3, 0.4, 0.5, 0.7, 1.0):
        for mode in ("a1111", "diffusers"):
            scheduler = ddim(20, "epsilon")
            total, start = a1111_hires(20, d) if mode == "a1111" else diffusers_img2img(scheduler, 20, d)
            levels = {schedule: float(sigmas_of(schedule, total)[start]) for schedule in SCHEDULES}
            alpha = ALPHAS[ddim(total, "epsilon").timesteps[start]]
            levels["ddim"] = float(((1 - alpha) / alpha) ** 0.5)
            rows.append(dict(mode=mode, steps=20, denoise=d, total=total, start=start, sigma=levels))
    return rows


def hires(out, latent, noise, tape):
    function = lambda x, t, call: fake_network(x, t)
    for mode in ("a1111", "diffusers"):
        total, start = a1111_hires(20, 0.4) if mode == "a1111" else diffusers_img2img(ddim(20, "epsilon"), 20, 0.4)
        for sampler in SAMPLERS:
            sigmas = sigmas_of("karras", total)[start:]
            states = k_run(sampler, sigmas, "epsilon", latent + noise * sigmas[0], function, tape)
            key = f"hires.{mode}.{sampler}"
            out[key + ".start"], out[key + ".final"] = states[0], states[-1]
        scheduler = ddim(total, "epsilon")
        timesteps = scheduler.timesteps[start:]
        x = scheduler.add_noise(latent, noise, timesteps[:1])
        states, last = ddim_run(timesteps, scheduler, x, function)
        out[f"hires.{mode}.ddim.start"], out[f"hires.{mode}.ddim.final"] = states[0], last


def main(folder):
    out, g = {}, torch.Generator().manual_seed(7)
    base_noise = torch.randn(SHAPE, generator=g)
    tape = [torch.randn(SHAPE, generator=g) for _ in range(19)]
    g = torch.Generator().manual_seed(8)
    latent, noise = torch.randn(SHAPE, generator=g), torch.randn(SHAPE, generator=g)
    tables(out)
    steps(out, tape)
    runs(out, base_noise, tape)
    hires(out, latent, noise, tape)
    out.update({"base_noise": base_noise, "tape": torch.stack(tape), "latent": latent, "noise": noise})
    flat = {k: np.ascontiguousarray(v.numpy().astype(np.float32)) for k, v in out.items()}
    save_file(flat, f"{folder}/solvers.safetensors")
    with open(f"{folder}/solvers.json", "w") as f:
        json.dump({"starts": starts()}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
