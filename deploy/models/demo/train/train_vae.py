"""Trains the autoencoder: 8x smaller, 4 channels, Stable Diffusion's AutoencoderKL layout.

    torchrun --nproc_per_node 2 train_vae.py DATA VAE --minutes 30
    torchrun --nproc_per_node 2 train_vae.py DATA VAE --decoder-only --judge 0.1 --minutes 40 --lr 5e-4

The second command sharpens the decoder: the encoder stays, so latents stay valid. What 4 channels cannot carry, blades
of grass and the like, an average over all that it might be renders as a blur; a judge that learns to tell drawn
pictures from decoded ones makes the decoder choose.
"""

import argparse
import glob
import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import nn

from team import CUDA, DEVICE, LAYOUT, Recorded, Run, Smoothed, Team, adamw, autocast, crops, pictures_of, psnr, to_pictures, to_tensor

CONFIG = dict(
    block_out_channels=(32, 48, 64, 96),
    norm_num_groups=2,
    layers_per_block=1,
    latent_channels=4,
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    sample_size=128,
)
CROP = 64  # px
HELD = 512  # the last pictures of each file, windows of 64 scenes, are never trained on


@torch.no_grad()
def colour_path(vae):
    """Starts the autoencoder as "shrink 8x, enlarge 8x".

    Three latent channels carry the mean colour along the residual path and every residual branch starts at nothing.
    From random weights the first thousand steps go into finding this, because group norms take the mean colour away.
    """

    def carry(conv, kernel):
        conv.weight[:3] = 0
        conv.bias[:3] = 0
        for c in range(3):
            conv.weight[c, c] = kernel

    def still(block):
        for r in block.resnets:
            r.conv2.weight.zero_()
            r.conv2.bias.zero_()
            if r.conv_shortcut is not None:
                carry(r.conv_shortcut, torch.ones(1, 1))
        for t in getattr(block, "attentions", None) or []:
            t.to_out[0].weight.zero_()
            t.to_out[0].bias.zero_()

    def linear_end(shortcut, last, norm, conv):
        # the colours' negatives keep the group's mean at 0 and two large constants fix its scale, so the norm is a
        # fixed scale; +3 puts the colours on the straight part of SiLU
        shortcut.weight[3:6] = -shortcut.weight[:3]
        shortcut.bias[3:6] = 0
        last.conv2.bias[6], last.conv2.bias[7] = 4.0, -4.0
        norm.weight[:3] = (32 * norm.num_groups / norm.num_channels) ** 0.5
        norm.bias[:3] = 3.0
        for c in range(3):
            conv.weight[c] = 0
            conv.weight[c, c, 1, 1] = 1 / 1.09
            conv.bias[c] = -2.858 / 1.09

    dot = torch.zeros(3, 3)
    dot[1, 1] = 1
    box = torch.zeros(3, 3)
    box[:2, :2] = 0.25
    tent = torch.tensor([1.0, 2.0, 1.0])
    tent = tent[:, None] * tent[None] / 16
    e, d = vae.encoder, vae.decoder
    carry(e.conv_in, dot)
    for b in e.down_blocks:
        still(b)
        if b.downsamplers:
            carry(b.downsamplers[0].conv, box)
    still(e.mid_block)
    linear_end(e.down_blocks[-1].resnets[0].conv_shortcut, e.mid_block.resnets[-1], e.conv_norm_out, e.conv_out)
    vae.quant_conv.weight.copy_(torch.eye(8)[..., None, None])
    vae.quant_conv.bias.zero_()
    e.conv_out.weight[4:] *= 0.1
    e.conv_out.bias[4:] = -6.0
    vae.post_quant_conv.weight.copy_(torch.eye(4)[..., None, None])
    vae.post_quant_conv.bias.zero_()
    carry(d.conv_in, dot)
    still(d.mid_block)
    for b in d.up_blocks:
        still(b)
        if b.upsamplers:
            carry(b.upsamplers[0].conv, tent)
    linear_end(d.up_blocks[-1].resnets[0].conv_shortcut, d.up_blocks[-1].resnets[-1], d.conv_norm_out, d.conv_out)


def gradients(x):
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def image_loss(x, y):
    """L1 and squared error, L1 of the gradients, and how much gradient there is in each 8 x 8 patch, so that texture
    keeps its energy."""
    loss = F.l1_loss(y, x) + 2.0 * F.mse_loss(y, x)
    for gx, gy in zip(gradients(x), gradients(y)):
        loss = loss + 0.5 * F.l1_loss(gy, gx)
        loss = loss + 0.1 * F.l1_loss(F.avg_pool2d(gy.abs(), 8), F.avg_pool2d(gx.abs(), 8))
    return loss


class Judge(nn.Module):
    """Tells drawn from decoded pictures, patch by patch of 22 px, knowing the latent (PatchGAN, Isola 2017,
    https://arxiv.org/abs/1611.07004). Pictures [N, 3, H, W] and latents [N, 4, H/8, W/8] to scores [N, 1, H/4, W/4]."""

    def __init__(self, width=32):
        super().__init__()

        def conv(a, b, k, stride):
            return nn.utils.spectral_norm(nn.Conv2d(a, b, k, stride, k // 2 - (k % 2 == 0)))

        self.picture = nn.Sequential(
            conv(3, width, 4, 2), nn.LeakyReLU(0.2), conv(width, 2 * width, 4, 2), nn.LeakyReLU(0.2)
        )
        self.both = nn.Sequential(conv(2 * width + 4, 2 * width, 3, 1), nn.LeakyReLU(0.2), conv(2 * width, 1, 3, 1))

    def forward(self, x, z):
        z = F.interpolate(z / 2.4, scale_factor=2.0, mode="nearest")  # 2.4: about the latents' deviation
        return self.both(torch.cat([self.picture(x), z], 1))


class Trial:
    """The judge and its optimizer. Each process has its own: it only has to be about as good as the decoder."""

    def __init__(self, folder, lr):
        self.path = f"{folder}/judge.pt"
        self.net = Judge().to(DEVICE, memory_format=LAYOUT)
        self.opt = adamw(self.net.parameters(), lr, betas=(0.5, 0.99), weight_decay=0.0)
        self.loss = Smoothed()
        if os.path.exists(self.path):
            self.net.load_state_dict(torch.load(self.path, map_location=DEVICE))

    def verdict(self, y, z):
        """How drawn a decoded picture looks; its gradient reaches the picture and not the judge."""
        self.net.requires_grad_(False)
        score = self.net(y, z).float().mean()
        self.net.requires_grad_(True)
        return score

    def learn(self, x, y, z):
        """One hinge step on drawn and decoded pictures."""
        with autocast():
            real, made = self.net(x, z).float(), self.net(y, z).float()
        loss = F.relu(1 - real).mean() + F.relu(1 + made).mean()
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        self.opt.step()
        self.loss.add(loss)

    def save(self):
        torch.save(self.net.state_dict(), self.path)


@torch.no_grad()
def mix(vae, before, share):
    """Weights between those of two decoders on one path of training: nearer to the drawn pictures than either (Wortsman
    2022, https://arxiv.org/abs/2203.05482), and nearly as sharp as the judged one."""
    for after, former in zip(vae.parameters(), before.parameters()):
        after.lerp_(former, share)


@torch.no_grad()
def report(vae, held):
    """(PSNR in dB on whole scenes, on windows, latents' standard deviation, the posterior's, the pictures)."""
    posterior = vae.encode(held).latent_dist
    y = vae.decode(posterior.mean).sample
    half = len(held) // 2
    return psnr(held[:half], y[:half]), psnr(held[half:], y[half:]), posterior.mean.std().item(), posterior.std.mean().item(), y


def grid(x, y, path, n=8):
    """Rows of originals over their reconstructions."""
    half = len(x) // 2
    rows = [np.concatenate(list(to_pictures(t[i : i + n])), 1) for i in (0, half) for t in (x, y)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("data")
    p.add_argument("out")
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--batch", type=int, default=96 if CUDA else 16, help="crops a step and process")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--kl", type=float, default=1e-4)
    p.add_argument("--decoder-only", action="store_true", help="go on from OUT with the encoder frozen")
    p.add_argument("--judge", type=float, default=0.0, help="weight of the judge's verdict, with --decoder-only")
    p.add_argument("--keep", type=float, default=0.0, help="share of the weights before --decoder-only in those after it")
    a = p.parse_args()
    team = Team()
    folder = f"{a.out}/decoder" if a.decoder_only else a.out
    os.makedirs(folder, exist_ok=True)
    sets = [pictures_of(f"{a.data}/{n}.npy") for n in ("whole", "crop")]
    torch.manual_seed(0)
    if a.decoder_only:
        vae = AutoencoderKL.from_pretrained(a.out)
    else:
        vae = AutoencoderKL(**CONFIG)
        colour_path(vae)
    vae.set_attn_processor(AttnProcessor())
    vae = vae.to(DEVICE, memory_format=LAYOUT).train()
    if a.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
        vae.save_pretrained(f"{folder}/before")
    run = Run(team, {"vae": vae}, a.minutes, a.lr, folder, weight_decay=1e-4)
    torch.manual_seed(1 + team.rank + run.steps)
    team.say(f"{sum(q.numel() for q in vae.parameters()) / 1e6:.2f} M parameters")
    held = to_tensor(torch.cat([s[-HELD :: HELD // 16] for s in sets]))
    trial = Trial(folder, a.lr) if a.judge else None
    trust = torch.zeros((), device=DEVICE)  # in the judge: none while it is new
    seen, shown = Smoothed(), run.now - 60

    def step():
        x = crops(sets, a.batch, CROP, HELD)
        with autocast():
            with torch.set_grad_enabled(not a.decoder_only):
                posterior = vae.encode(x).latent_dist
                z = posterior.sample()
            y = vae.decode(z).sample
            loss = restored = image_loss(x, y.float())
            if trial:
                loss = loss - trust * trial.verdict(y, z)
            if not a.decoder_only:
                loss = loss + a.kl * 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
                # latents shrink as the picture does, so that enlarging them means something
                small = vae.decode(F.avg_pool2d(z[::4], 2)).sample
                loss = loss + 0.06 * F.l1_loss(small.float(), F.avg_pool2d(x[::4], 2))
        run.learn(loss)
        if trial:
            trial.learn(x, y.detach().float(), z)
        seen.add(restored)

    train = Recorded(step)
    while run.going():
        train()
        if train.calls == 50:
            trust.fill_(a.judge)
        if run.tick() and team.rank == 0 and run.now - shown > (20 if CUDA else 60):
            shown = run.now
            whole, close, std, noise, y = report(run.mean["vae"], held)
            print(f"{run.now / 60:.1f} min  step {run.steps}  loss {seen.read():.4f}  held out {whole:.2f} dB whole, {close:.2f} dB "
                  f"windows  latent std {std:.2f}, posterior {noise:.3f}" + (f"  judge {trial.loss.read():.2f}" if trial else ""), flush=True)
            if trial:
                trial.save()
            grid(held, y, f"{folder}/held-out.png")
    run.save()
    if team.rank == 0:
        for stale in glob.glob(f"{a.out}/latents-*") if not a.decoder_only else ():
            os.remove(stale)
        if a.keep:
            mix(run.mean["vae"], AutoencoderKL.from_pretrained(f"{folder}/before").to(DEVICE), a.keep)
        whole, close, *_, y = report(run.mean["vae"], held)
        grid(held, y, f"{folder}/held-out.png")
        run.mean["vae"].save_pretrained(a.out)
        with open(f"{folder}/training.json", "w") as f:
            json.dump(dict(steps=run.steps, batch=a.batch, minutes=round(run.now / 60, 1), psnr_whole=whole, psnr_windows=close), f)
        print(f"done: {run.steps} steps, held out {whole:.2f} dB whole, {close:.2f} dB windows", flush=True)


if __name__ == "__main__":
    main()
