"""Draws the model card's pictures with `tessera` itself: sheets, and what the hires pass is for.

    python gallery.py deploy/models/demo deploy/gallery [--tessera target/release/tessera]

Writes OUT/base.jpg (24 prompts x 2 seeds at 128 px), OUT/hires.jpg (some of them at 512 px), OUT/large-*.jpg (1024 px),
OUT/why-*.jpg (drawn directly at 512 px | drawn at 128 px and enlarged | hires pass), and prints how much sharper the
hires pictures are than the enlarged ones.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PROMPTS = [
    "a red house at noon, green meadow, pine trees, clear sky, sun",
    "a white house by the sea at sunset, green meadow, clouds, sun",
    "a blue house at night, snow, pine trees, clear sky, moon",
    "a yellow house at noon, desert sand, palm trees, clear sky, sun",
    "a red house by a river at dawn, snow, mountains, clouds",
    "a white house at noon, green meadow, flowers, round trees, clouds",
    "a blue house at dawn, desert sand, hills, clear sky, sun",
    "a yellow house at sunset, green meadow, autumn trees, mountains",
    "a castle at noon, green meadow, mountains, clouds",
    "a castle at sunset, desert sand, hills, clear sky, sun",
    "a castle at night, snow, pine trees, moon",
    "a castle by the sea at dawn, green meadow, clouds",
    "a village at noon, green meadow, hills, clouds, sun",
    "a village at night, snow, mountains, moon, clear sky",
    "a village by a river at sunset, desert sand, palm trees",
    "a village by the sea at dawn, green meadow, boats",
    "a landscape at noon, green meadow, flowers, mountains, clear sky",
    "a landscape by a river at noon, snow, pine trees, mountains",
    "a landscape by a river at dawn, green meadow, autumn trees, sun",
    "a landscape at sunset, desert sand, palm trees, clouds, sun",
    "a view by the sea at sunset, pine trees, clouds, sun",
    "a view by the sea at night, moon, clear sky, hills, boats",
    "a view by the sea at noon, desert sand, palm trees, boats",
    "a landscape at dawn, snow, hills, autumn trees, clouds, sun",
]
SEEDS = (1, 2)
HIRES = (0, 2, 7, 8, 12, 18, 20, 22)  # prompts carried to 512 px
LARGE = (8, 20)  # prompts carried to 1024 px
WHY = (0, 10, 20)  # prompts drawn directly too
PASS = "--denoise 0.4 --hires-steps 15 --tile-method mixture --upscaler demo-4x".split()


class Renderer:
    """Runs `tessera render`; pictures of one prompt, seed and flags are made once."""

    def __init__(self, program, model, folder):
        self.command = [program, "render", "--model", str(model), "--workers", "cpu:1,cpu:1", "--steps", "20", "--cfg", "4"]
        self.folder, self.made = folder, {}

    def draw(self, prompt, seed, *flags):
        key = (prompt, seed, flags)
        if key not in self.made:
            path = f"{self.folder}/{len(self.made)}.png"
            run = subprocess.run([*self.command, prompt, "--seed", str(seed), *flags, "-o", path], capture_output=True, text=True)
            if run.returncode:
                raise SystemExit(f"{' '.join(run.args)}\n{run.stderr}")
            self.made[key] = Image.open(path).convert("RGB")
        return self.made[key]


def sheet(pictures, columns, side, captions=()):
    """Pictures in rows, each with a caption over it where there is one."""
    head = 14 if captions else 0
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (side + 4) - 4, rows * (side + head + 4) - 4), "white")
    d = ImageDraw.Draw(page)
    for i, picture in enumerate(pictures):
        x, y = i % columns * (side + 4), i // columns * (side + head + 4)
        page.paste(picture.resize((side, side), Image.LANCZOS) if picture.width != side else picture, (x, y + head))
        if i < len(captions):
            d.text((x + 2, y + 1), captions[i], fill="black")
    return page


def detail(picture):
    """Mean strength of the gradient, of 255: how much fine detail there is."""
    a = np.asarray(picture.convert("L"), np.float32)
    return (np.abs(np.diff(a, axis=0)).mean() + np.abs(np.diff(a, axis=1)).mean()) / 2


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--tessera", default="target/release/tessera")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        r = Renderer(a.tessera, a.model, folder)
        base = [r.draw(prompt, seed, "--scale", "1") for prompt in PROMPTS for seed in SEEDS]
        sheet(base, 8, 128).save(a.out / "base.jpg", quality=88)
        ratios, hires = [], []
        for k in HIRES:
            small, big = r.draw(PROMPTS[k], 1, "--scale", "1"), r.draw(PROMPTS[k], 1, "--scale", "4", *PASS)
            hires.append(big)
            ratios.append(detail(big) / detail(small.resize(big.size, Image.LANCZOS)))
        sheet(hires, 4, 384).save(a.out / "hires.jpg", quality=85)
        print(f"512 px: detail of the hires picture over the enlarged one {np.mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        if min(ratios) <= 1:
            raise SystemExit("a hires pass adds no detail")
        for k in WHY:
            small, direct = r.draw(PROMPTS[k], 1, "--scale", "1"), r.draw(PROMPTS[k], 1, "--scale", "1", "--width", "512", "--height", "512")
            row = [direct, small.resize((512, 512), Image.LANCZOS), r.draw(PROMPTS[k], 1, "--scale", "4", *PASS)]
            titles = ("drawn directly at 512 px", "drawn at 128 px, enlarged", "drawn at 128 px, hires pass to 512 px")
            sheet(row, 3, 512, titles).save(a.out / f"why-{k}.jpg", quality=88)
        for k in LARGE:
            small, big = r.draw(PROMPTS[k], 1, "--scale", "1"), r.draw(PROMPTS[k], 1, "--scale", "8", *PASS)
            print(f"1024 px, {PROMPTS[k]!r}: {detail(big) / detail(small.resize(big.size, Image.LANCZOS)):.2f}")
            big.save(a.out / f"large-{k}.jpg", quality=88)


if __name__ == "__main__":
    main()
