"""Fits the linear map from latents to colours that previews use: a matrix and an offset, least squares over scenes.

    python fit_preview.py MODEL latent_rgb.json

A latent cell c (4 numbers, scaled as the UNet sees it) shows as factors^T c + offset, RGB in 0..1: the form of ComfyUI's
`latent_rgb_factors`. The file also says how far off that is.
"""

import json
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL

from scenes import HELD_OUT, whole
from team import to_tensor

SCENES = 600  # drawn for this; the model has seen none of them


@torch.no_grad()
def main(model, out):
    vae = AutoencoderKL.from_pretrained(f"{model}/vae", torch_dtype=torch.float32)
    pictures = np.stack([whole(HELD_OUT + i)[0] for i in range(SCENES)])
    z = [vae.encode(to_tensor(pictures[i : i + 20])).latent_dist.mean for i in range(0, SCENES, 20)]
    z = torch.cat(z) * vae.config.scaling_factor  # [N, 4, 16, 16]
    cells = pictures.reshape(SCENES, 16, 8, 16, 8, 3).mean((2, 4)) / 255  # [N, 16, 16, 3]
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
