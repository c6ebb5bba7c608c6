"""How training runs: on one CUDA device, where a whole step is recorded once and replayed, or on CPU processes that
train apart and average every few seconds.

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
CUDA = DEVICE.type == "cuda"
PERIOD = 1.0 if CUDA else 15.0  # seconds between meetings, which cost nothing where one process trains
STRIDE = 8 if CUDA else 1  # steps between looks at the clock and updates of the mean weights
LAYOUT = torch.channels_last
torch.backends.cudnn.benchmark = True  # every step has the same shapes


def autocast():
    """bfloat16 where the processor multiplies it in hardware: every CUDA device used today, and CPUs with AMX."""
    fast = CUDA or torch.cpu._is_amx_tile_supported()
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=fast, cache_enabled=not CUDA)


class Recorded:
    """A training step that runs as it is on a CPU and as one CUDA graph on CUDA, where a small network's time goes into
    launching its kernels one by one.

    The step runs a few times, is then recorded, and from there on replayed: it must draw what is random on the device,
    take no branch on numbers and read none back.
    """

    WARM = 12  # calls before the recording: cuDNN picks its kernels, AdamW makes its moments

    def __init__(self, step):
        self.step, self.calls, self.graph = step, 0, None
        self.side = torch.cuda.Stream() if CUDA else None

    def __call__(self):
        self.calls += 1
        if not CUDA:
            self.step()
        elif self.graph:
            self.graph.replay()
        elif self.calls <= self.WARM:
            self.side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.side):
                self.step()
            torch.cuda.current_stream().wait_stream(self.side)
        else:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.step()
            self.graph.replay()


class Smoothed:
    """A running mean of a number that stays on the device until somebody reads it."""

    def __init__(self, keep=0.99):
        self.share = 1 - keep
        self.total, self.weight = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)

    @torch.no_grad()
    def add(self, value):
        self.total.lerp_(value.detach().float(), self.share)
        self.weight.lerp_(torch.ones_like(self.weight), self.share)

    def read(self):
        return (self.total / self.weight).item()


def adamw(params, lr, **more):
    """AdamW whose step can be recorded: on CUDA its counters and its learning rate lie on the device."""
    if CUDA:
        more |= dict(capturable=True)
        lr = torch.tensor(lr, device=DEVICE)
    return torch.optim.AdamW(params, lr=lr, fused=True, **more)


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
        self.opt = adamw(self.params, lr, betas=(0.9, 0.99), weight_decay=weight_decay)
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
            if CUDA:
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        return True

    def learn(self, loss):
        """The gradients of a loss and one optimizer step; can be recorded."""
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        self.opt.step()

    def tick(self):
        """Ends a step. Returns True after a meeting, when all processes hold the same weights."""
        self.own += 1
        if self.own % STRIDE:
            return False
        total = self.steps + self.own
        decay = min(self.decay, (1 + total) / (10 + total)) ** STRIDE
        with torch.no_grad():
            torch._foreach_lerp_(self.mean_params, [q.detach() for q in self.params], 1 - decay)
        if CUDA:
            torch.cuda.synchronize()  # else steps queue up far ahead of the clock
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


def pictures_of(path):
    """A file of pictures as a tensor uint8 [N, H, W, 3]: on the device, or on a CPU mapped from the file."""
    return torch.from_numpy(np.load(path, mmap_mode="c")).to(DEVICE)


def crops(sets, n, side, held, step=1):
    """n crops at random from as many of each set, mirrored at random, [n, 3, side, side] in [-1, 1].

    The last `held` pictures of a set are never drawn; corners lie on multiples of `step` px.
    """
    out = []
    for k, pictures in enumerate(sets):
        part = n // len(sets) + (k < n % len(sets))

        def draw(below):
            return torch.randint(0, below, (part, 1, 1), device=DEVICE)

        line = torch.arange(side, device=DEVICE)
        room = (pictures.shape[1] - side) // step + 1
        x = torch.where(draw(2) == 1, line.flip(0), line) + draw(room) * step
        out.append(pictures[draw(len(pictures) - held), line[:, None] + draw(room) * step, x])
    return to_tensor(torch.cat(out))


def to_tensor(pictures):
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in [-1, 1]."""
    t = torch.as_tensor(pictures).to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
    return t.contiguous(memory_format=LAYOUT)


def to_pictures(t):
    """float [N, 3, H, W] in [-1, 1] to uint8 [N, H, W, 3]."""
    return ((t.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def psnr(x, y):
    """Mean PSNR in dB over the pictures of a batch, both [N, 3, H, W] in [-1, 1]."""
    mse = ((x - y.clamp(-1, 1)) / 2).pow(2).mean((1, 2, 3))
    return (-10 * mse.log10()).mean().item()
