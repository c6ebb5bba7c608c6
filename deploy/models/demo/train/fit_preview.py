"""Fits the linear map from latents to colours that previews use: a matrix and an offset, least squares over scenes.

    python fit_preview.py DATA VAE SCALING_FACTOR latent_rgb.json

A latent cell c (4 numbers, scaled as the UNet sees it) shows as factors^T c + offset, RGB in 0..1: the form of ComfyUI's
`latent_rgb_factors`. The file also says how far off that is.
"""

import glob
import json
import sys

import numpy as np
import torch


def main(data, vae, factor, out):
    parts = sorted(glob.glob(f"{vae}/latents-whole-*.pt"))[:4]
    z = torch.cat([torch.load(p) for p in parts]).float() * float(factor)  # [N, 4, 16, 16], the first N scenes
    pictures = np.load(f"{data}/whole.npy", mmap_mode="r")[: len(z)]
    cells = pictures.reshape(len(z), 16, 8, 16, 8, 3).mean((2, 4)) / 255  # [N, 16, 16, 3]
    x = z.permute(0, 2, 3, 1).reshape(-1, 4).double()
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    y = torch.from_numpy(cells.reshape(-1, 3))
    held = len(x) // 10
    w = torch.linalg.lstsq(x[held:], y[held:]).solution
    error = (x[:held] @ w - y[:held]).abs().mean().item()
    with open(out, "w") as f:
        rows = [[round(v, 5) for v in row] for row in w.tolist()]
        json.dump(dict(factors=rows[:4], offset=rows[4], mean_abs_error=round(error, 4)), f, indent=1)
        f.write("\n")
    print(f"mean absolute error {error * 255:.1f} of 255")


if __name__ == "__main__":
    main(*sys.argv[1:])
