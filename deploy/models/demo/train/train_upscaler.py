"""Trains a small upscaling network on the scenes: Real-ESRGAN's compact architecture, so that its file is read as one.

    python train_upscaler.py DATA OUT.safetensors --scale 4 --minutes 8
"""

import argparse
import os
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from team import CUDA, DEVICE, LAYOUT, Recorded, Run, Team, autocast, crops, pictures_of, psnr, to_tensor
from train_vae import HELD, gradients

CROP = 96  # px of the large picture


class Compact(nn.Module):
    """SRVGGNetCompact of Real-ESRGAN (https://github.com/xinntao/Real-ESRGAN): convolutions at the small size, pixel
    shuffle at the end, added to the nearest-neighbour enlargement. RGB in 0..1, [N, 3, H, W] to [N, 3, sH, sW]."""

    def __init__(self, scale, width=40, depth=10):
        super().__init__()
        self.scale = scale
        layers = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        self.body = nn.ModuleList(layers + [nn.Conv2d(width, 3 * scale**2, 3, padding=1)])
        nn.init.normal_(self.body[-1].weight, std=0.01)  # from 0 the smaller network does not get away
        nn.init.zeros_(self.body[-1].bias)

    def forward(self, x):
        y = x
        for layer in self.body:
            y = layer(y)
        return F.pixel_shuffle(y, self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")


def small(x, scale):
    """What the network is shown: the mean of scale x scale pixels, most of them blurred, with a little noise: pictures out
    of the autoencoder are softer than drawn ones. The first third of the batch stays sharp."""
    y = F.avg_pool2d(x, scale)
    sharp, soft = y.tensor_split([len(y) // 3])
    sigma = 0.3 + 0.6 * torch.rand(1, device=DEVICE)
    k = torch.exp(-(torch.arange(-3, 4, device=DEVICE) ** 2) / (2 * sigma**2))
    k = (k / k.sum()).view(1, 1, 1, 7).expand(3, 1, 1, 7)
    soft = F.conv2d(F.pad(soft, (3, 3, 3, 3), mode="reflect"), k, groups=3)
    soft = F.conv2d(soft, k.transpose(2, 3), groups=3)
    y = torch.cat([sharp, soft])
    return (y + torch.randn_like(y) * 0.004 * torch.rand(1, device=DEVICE)).clamp(0, 1)


def loss_of(y, x):
    """L1, L1 of the gradients, and the gradient energy of 8 x 8 patches, so that texture is made rather than blurred."""
    loss = F.l1_loss(y, x)
    for gx, gy in zip(gradients(x), gradients(y)):
        loss = loss + 0.5 * F.l1_loss(gy, gx) + 0.5 * F.l1_loss(F.avg_pool2d(gy.abs(), 8), F.avg_pool2d(gx.abs(), 8))
    return loss


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("data")
    p.add_argument("out")
    p.add_argument("--scale", type=int, choices=(2, 4), default=4)
    p.add_argument("--minutes", type=float, default=8)
    p.add_argument("--batch", type=int, default=128 if CUDA else 16)
    p.add_argument("--lr", type=float, default=1e-3)
    a = p.parse_args()
    team = Team()
    torch.manual_seed(0)
    pictures = pictures_of(f"{a.data}/crop.npy")
    net = Compact(a.scale).to(DEVICE, memory_format=LAYOUT)
    folder = a.out + ".training"
    os.makedirs(folder, exist_ok=True)
    run = Run(team, {"net": net}, a.minutes, a.lr, folder, weight_decay=0.0)
    torch.manual_seed(1 + team.rank + run.steps)  # else it would draw again what it drew before an interruption
    held = (to_tensor(pictures[-HELD:]) + 1) / 2
    shrunk = F.avg_pool2d(held, a.scale)
    cubic = F.interpolate(shrunk, scale_factor=a.scale, mode="bicubic").clamp(0, 1)
    team.say(f"{sum(q.numel() for q in net.parameters()) / 1e3:.0f} k parameters; bicubic {psnr(held * 2 - 1, cubic * 2 - 1):.2f} dB")
    shown = time.time()

    def step():
        y = (crops([pictures], a.batch, CROP, HELD, step=4) + 1) / 2
        with autocast():
            out = net(small(y, a.scale))
        run.learn(loss_of(out.float(), y))

    train = Recorded(step)
    while run.going():
        train()
        if run.tick() and team.rank == 0 and time.time() - shown > 60:
            shown = time.time()
            with torch.no_grad():
                better = run.mean["net"](shrunk)
            print(f"{run.now / 60:.1f} min  step {run.steps}  held out {psnr(held * 2 - 1, better * 2 - 1):.2f} dB", flush=True)
    run.save()
    if team.rank == 0:
        with torch.no_grad():
            better = run.mean["net"](shrunk)
        print(f"done: {run.steps} steps, held out {psnr(held * 2 - 1, better * 2 - 1):.2f} dB", flush=True)
        save_file({k: v.contiguous() for k, v in run.mean["net"].state_dict().items()}, a.out)


if __name__ == "__main__":
    main()
