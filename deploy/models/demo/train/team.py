"""How training runs: on one CUDA device, or on CPU processes that train apart and average every few seconds.

Two CPU processes of one thread each do more than one process of two threads, and a step never waits for the slower
core: between two meetings each goes its own way (local SGD, Stich 2019, https://arxiv.org/abs/1805.09767), and a
meeting takes the mean of parameters and optimizer moments, weighted by the steps that each has made. A core that
other work keeps busy then contributes less and delays nobody.

    torchrun --nproc_per_node 2 train_vae.py ...
"""

import copy
import math
import os
import time

import numpy as np
import torch
import torch.distributed as dist

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PERIOD = 15.0  # seconds between meetings


def autocast():
    """bfloat16 where the processor multiplies it in hardware: every CUDA device used today, and CPUs with AMX."""
    fast = DEVICE.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=fast)


class Team:
    """The processes of one training run, their clock and their meetings."""

    def __init__(self):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.size > 1:
            torch.set_num_threads(1)
            dist.init_process_group("gloo")

    def say(self, *what):
        if self.rank == 0:
            print(*what, flush=True)

    def wait(self):
        if self.size > 1:
            dist.barrier()

    def claim(self, path):
        """Whether a piece of shared work falls to this process: to the first of this run that asks."""
        try:
            os.close(os.open(f"{path}.{os.environ.get('MASTER_PORT', 0)}-{os.getppid()}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def mean(self, tensors, steps):
        """Replaces every tensor by its mean over the processes, weighted by steps; returns the sum of steps."""
        if self.size == 1:
            return steps
        flat = torch.cat([t.detach().flatten() for t in tensors]) * float(steps)
        total = torch.tensor([float(steps)])
        dist.all_reduce(flat)
        dist.all_reduce(total)
        flat /= total.clamp(min=1)
        at = 0
        with torch.no_grad():
            for t in tensors:
                t.copy_(flat[at : at + t.numel()].view_as(t))
                at += t.numel()
        return int(total.item())

    def clock(self, now):
        """The first process's clock, for all."""
        if self.size > 1:
            t = torch.tensor([now], dtype=torch.float64)
            dist.broadcast(t, 0)
            now = t.item()
        return now


class Run:
    """One training run: AdamW under a cosine that follows the clock, an average of the weights (EMA), meetings,
    and a checkpoint that an interruption goes on from.

    `models` maps names to modules; `minutes` is the budget, over all interruptions.
    """

    def __init__(self, team, models, minutes, lr, folder, ema=0.999, warmup=100, weight_decay=0.01):
        self.team, self.models, self.budget, self.peak, self.warmup = team, models, minutes * 60, lr, warmup
        self.path, self.decay = f"{folder}/checkpoint.pt", ema
        self.params = [q for m in models.values() for q in m.parameters() if q.requires_grad]
        self.opt = torch.optim.AdamW(self.params, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
        self.mean = {k: copy.deepcopy(m).eval().requires_grad_(False) for k, m in models.items()}
        trained = {k: [q.requires_grad for q in m.parameters()] for k, m in models.items()}
        self.mean_params = [q for k, m in self.mean.items() for q, t in zip(m.parameters(), trained[k]) if t]
        self.steps, self.before, self.own = 0, 0.0, 0
        if os.path.exists(self.path):
            saved = torch.load(self.path, map_location=DEVICE)
            for k, m in models.items():
                m.load_state_dict(saved["models"][k])
                self.mean[k].load_state_dict(saved["mean"][k])
            self.opt.load_state_dict(saved["opt"])
            self.steps, self.before = saved["steps"], saved["clock"]
            team.say(f"goes on at step {self.steps}, {self.before / 60:.1f} of {minutes:g} min")
        team.wait()
        self.started = team.clock(time.time())  # one clock for all, from when all are ready
        self.now = self.before
        self.next, self.saved = self.now + PERIOD, self.now

    def going(self):
        """Whether the budget still lasts; sets the learning rate of the coming step."""
        done = min(1.0, self.now / self.budget) if self.budget else 1.0
        if done >= 1:
            return False
        lr = self.peak * min(1, (self.steps + self.own + 1) / self.warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in self.opt.param_groups:
            group["lr"] = lr
        return True

    def step(self, loss):
        """One optimizer step. Returns True after a meeting, when all processes hold the same weights."""
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        self.opt.step()
        self.own += 1
        decay = min(self.decay, (1 + self.steps + self.own) / (10 + self.steps + self.own))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean_params, [q.detach() for q in self.params], 1 - decay)
        now = self.before + time.time() - self.started
        if now < self.next:
            return False
        moments = [s[k] for s in (self.opt.state[q] for q in self.params) for k in ("exp_avg", "exp_avg_sq")]
        self.steps += self.team.mean(self.params + self.mean_params + moments, self.own)
        self.own = 0
        self.now = self.team.clock(self.before + time.time() - self.started)
        self.next = self.now + PERIOD
        if self.now - self.saved > 120:
            self.save()
        return True

    def save(self):
        self.saved = self.now
        if self.team.rank:
            return
        state = dict(
            models={k: m.state_dict() for k, m in self.models.items()},
            mean={k: m.state_dict() for k, m in self.mean.items()},
            opt=self.opt.state_dict(),
            steps=self.steps,
            clock=self.now,
        )
        torch.save(state, self.path + ".new")
        os.replace(self.path + ".new", self.path)


def to_tensor(pictures):
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in [-1, 1]."""
    t = torch.from_numpy(np.array(pictures)).to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
    return t.contiguous(memory_format=torch.channels_last)


def to_pictures(t):
    """float [N, 3, H, W] in [-1, 1] to uint8 [N, H, W, 3]."""
    return ((t.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def psnr(x, y):
    """Mean PSNR in dB over the pictures of a batch, both [N, 3, H, W] in [-1, 1]."""
    mse = ((x - y.clamp(-1, 1)) / 2).pow(2).mean((1, 2, 3))
    return (-10 * mse.log10()).mean().item()
