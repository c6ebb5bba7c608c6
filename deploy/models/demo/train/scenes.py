"""Procedural landscapes with captions: a seed goes in, a picture, its caption and its attributes come out.

A scene is drawn on a square canvas of any size, and everything in it scales with the canvas, so the same scene
at 384 px, averaged down to 128 px, is a whole picture for the base pass, and a 128 px window of the same scene at
1024 px is what a hires tile of it looks like: blades, bricks, tiles and ripples instead of a blur.

    python scenes.py DATA              writes DATA/{whole,crop}.npy (uint8 [N, 128, 128, 3]) and .jsonl
    python scenes.py DATA --sheet      writes DATA/scenes.png, a look at 24 scenes and 24 windows
"""

import argparse
import json
import os
import random
from functools import cache
from multiprocessing import Pool

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import things
from things import HOUSES, mix, mul

OUT = 128  # px, what the model is trained at
WHOLE = 384  # px, the canvas of a whole scene
CLOSE = 1024  # px, the canvas that windows are cut from
WINDOWS = 8  # windows a canvas
ZOOMS = (256, 384, 512, 768, 1024, 1024)  # px, the scene's size that a window is cut from
HELD_OUT = 10_000_000  # seeds from here on are never trained on

SKY = {  # zenith, horizon, light on things, glow of the disc
    "dawn": ((118, 140, 196), (250, 200, 190), (1.00, 0.90, 0.90), (60, 40, 20)),
    "noon": ((58, 128, 214), (186, 220, 244), (1.06, 1.06, 1.04), (40, 40, 20)),
    "sunset": ((78, 58, 120), (252, 146, 62), (0.95, 0.70, 0.58), (90, 50, 0)),
    "night": ((8, 12, 36), (38, 50, 92), (0.34, 0.38, 0.56), (40, 44, 52)),
}
DISC = {"dawn": (255, 236, 200), "noon": (255, 250, 214), "sunset": (255, 214, 96), "night": (238, 236, 222)}
DISC_HEIGHT = {"dawn": (0.30, 0.40), "noon": (0.08, 0.20), "sunset": (0.34, 0.44), "night": (0.10, 0.26)}
GROUND = {"meadow": (92, 150, 56), "snow": (232, 238, 246), "desert": (224, 186, 118)}
GROUND_WORDS = {"meadow": "green meadow", "snow": "snow", "desert": "desert sand"}
TREES = {
    "meadow": ("pine trees", "round trees", "autumn trees", "palm trees", ""),
    "snow": ("pine trees", "pine trees", "autumn trees", ""),
    "desert": ("palm trees", "palm trees", "round trees", ""),
}


def spec_of(rnd):
    """The attributes of a scene, drawn at random."""
    ground = rnd.choice(list(GROUND))
    subject = rnd.choices(("house", "castle", "village", ""), (46, 12, 10, 32))[0]
    water = rnd.choices(("sea", "river", ""), (32, 16, 52))[0]
    return dict(
        time=rnd.choice(list(SKY)),
        ground=ground,
        trees=rnd.choice(TREES[ground]),
        water=water,
        boats=water == "sea" and rnd.random() < 0.4,
        far=rnd.choice(("mountains", "hills", "")),
        subject=subject,
        house=rnd.choice(list(HOUSES)) if subject == "house" else "",
        flowers=ground == "meadow" and rnd.random() < 0.35,
        clouds=rnd.random() < 0.5,
        disc=rnd.random() < 0.75,
    )


def caption_of(sp, rnd, keep=0.88):
    """The words for a scene: what it is, then its other attributes in any order, each kept with probability keep."""
    head = {"house": f"a {sp['house']} house", "castle": "a castle", "village": "a village"}.get(sp["subject"])
    head = head or rnd.choice(("a landscape", "a landscape", "a view"))
    head += {"sea": " by the sea", "river": " by a river", "": ""}[sp["water"]] + f" at {sp['time']}"
    tags = [GROUND_WORDS[sp["ground"]], sp["trees"], sp["far"], "boats" if sp["boats"] else ""]
    tags += ["flowers" if sp["flowers"] else "", "clouds" if sp["clouds"] else "clear sky"]
    tags += [("moon" if sp["time"] == "night" else "sun") if sp["disc"] else ""]
    tags = [t for t in tags if t and rnd.random() < keep]
    rnd.shuffle(tags)
    return ", ".join([head] + tags)


def render(seed, size):
    """The scene of a seed: (PIL image size x size, caption, attributes)."""
    rnd = random.Random(seed)
    sp = spec_of(rnd)
    caption = caption_of(sp, rnd)
    return paint(sp, rnd, np.random.default_rng(seed), size), caption, sp


def paint(sp, rnd, rng, size):
    """Draws a scene back to front: sky, what lies far off, water and ground, then things from far to near."""
    top, horizon_colour, light, glow = SKY[sp["time"]]
    horizon = int(size * rnd.uniform(0.46, 0.58))
    sun = rnd.uniform(0.12, 0.88), rnd.uniform(*DISC_HEIGHT[sp["time"]])
    img = _sky(sp, rnd, size, horizon, sun)
    if sp["clouds"]:
        _clouds(img, sp, rnd, size)
    if sp["far"] == "mountains":
        img = _mountains(img, sp, rnd, rng, size, horizon)
    elif sp["far"] == "hills":
        _hills(ImageDraw.Draw(img), sp, rnd, size, horizon)
    img, low, river = _ground(img, sp, rnd, rng, size, horizon, sun)
    d = ImageDraw.Draw(img)
    if sp["water"] == "sea":
        _crests(d, sp, rnd, size, horizon, low - 0.03 * size)
    _litter(d, sp, rnd, size, low, river)
    if sp["boats"]:
        for _ in range(rnd.randint(1, 2)):
            y = horizon + (low - horizon) * rnd.uniform(0.25, 0.6)
            things.boat(d, rnd, size * rnd.uniform(0.08, 0.92), y, size * rnd.uniform(0.09, 0.13), light)
    base = mul(GROUND[sp["ground"]], light, 0.62)
    for y, kind, x, extent in sorted(_placed(sp, rnd, size, low, river)):
        things.shadow(d, x, y, extent * things.SHADOW[kind], base)
        things.DRAW[kind](d, rnd, x, y, extent, light, sp)
    return img


@cache
def _bank(size):
    """Noise fields, twice the canvas; a scene takes random windows of them. Cells are per canvas, whatever its size."""
    r = np.random.default_rng(7)

    def octave(cells_x, cells_y):
        a = r.random((min(2 * cells_y, 2 * size), min(2 * cells_x, 2 * size))).astype(np.float32)
        return np.asarray(Image.fromarray(a).resize((2 * size, 2 * size), Image.BICUBIC)) - 0.5

    return {
        "soft": sum(octave(c, c) * k for c, k in ((6, 1.0), (16, 0.6), (48, 0.4))),
        "fine": sum(octave(c, c) * k for c, k in ((96, 1.0), (192, 0.6), (384, 0.35))),
        "wave": sum(octave(x, y) * k for x, y, k in ((8, 48, 1.0), (24, 100, 0.8))),
        "rock": sum(octave(x, y) * k for x, y, k in ((24, 40, 1.0), (80, 120, 0.8))),
    }


def _field(rng, kind, size):
    y, x = rng.integers(0, size, 2)
    return _bank(size)[kind][y : y + size, x : x + size]


def _sky(sp, rnd, size, horizon, sun):
    top, hor, _, glow = SKY[sp["time"]]
    y = np.arange(size, dtype=np.float32)[:, None]
    t = (np.clip(y / horizon, 0, 1) ** 1.3)[..., None]
    img = np.repeat(np.array(top, np.float32) * (1 - t) + np.array(hor, np.float32) * t, size, 1)
    if sp["disc"]:
        x = np.arange(size, dtype=np.float32)[None] / size
        img += np.exp(-((x - sun[0]) ** 2 + (y / size - sun[1]) ** 2) / 0.03)[..., None] * np.array(glow, np.float32)
    img = Image.fromarray(np.clip(img, 0, 255).astype(np.uint8))
    d = ImageDraw.Draw(img)
    if sp["time"] == "night":
        for _ in range(rnd.randint(25, 50)):
            x, y, r = rnd.random() * size, rnd.random() * horizon, rnd.choice((1.0, 1.5, 2.2)) * size / 384
            d.ellipse((x - r, y - r, x + r, y + r), fill=(230, 232, 250))
    if sp["disc"]:
        r, x, y = size * rnd.uniform(0.05, 0.07), sun[0] * size, sun[1] * size
        d.ellipse((x - r, y - r, x + r, y + r), fill=DISC[sp["time"]])
        if sp["time"] == "night":
            for _ in range(4):
                cx, cy, c = x + rnd.uniform(-0.5, 0.5) * r, y + rnd.uniform(-0.5, 0.5) * r, r * rnd.uniform(0.12, 0.25)
                d.ellipse((cx - c, cy - c, cx + c, cy + c), fill=(208, 206, 194))
    return img


def _clouds(img, sp, rnd, size):
    """Puffs with a flat base, lit from above."""
    top, hor, light, _ = SKY[sp["time"]]
    white = mix(mul((255, 255, 255), light), hor, 0.5 if sp["time"] == "night" else 0.25)
    grey = mix(white, mix(top, hor, 0.6), 0.6)
    for _ in range(rnd.randint(2, 4)):
        cx, cy, w = rnd.random() * size, size * rnd.uniform(0.06, 0.34), size * rnd.uniform(0.12, 0.24)
        x0, y0, wide, high = int(cx - w * 1.3), int(cy - w * 0.7), int(w * 2.6), int(w * 0.95)
        mask = Image.new("L", (wide, high), 0)
        d = ImageDraw.Draw(mask)
        for _ in range(rnd.randint(7, 11)):
            u = rnd.uniform(-1, 1)
            r = w * rnd.uniform(0.14, 0.32) * (1.15 - abs(u) * 0.7)
            px, py = w * 1.3 + u * w, w * 0.7 - r * rnd.uniform(0.1, 0.9)
            d.ellipse((px - r, py - r, px + r, py + r), fill=235)
        d.rectangle((0, int(w * 0.78), wide, high), fill=0)
        mask = mask.filter(ImageFilter.GaussianBlur(size / 192))
        t = np.linspace(0, 1, high)[:, None, None]
        body = np.repeat(np.array(white) * (1 - t) + np.array(grey) * t, wide, 1)
        img.paste(Image.fromarray(body.astype(np.uint8)), (x0, y0), mask)


def _ridge(rnd, rough, n=65):
    """The heights of a ridge by midpoint displacement, in [0, 1]."""
    h = np.zeros(n)
    h[0], h[-1] = rnd.random(), rnd.random()
    step, amp = n - 1, 1.0
    while step > 1:
        for i in range(step // 2, n, step):
            h[i] = (h[i - step // 2] + h[min(i + step // 2, n - 1)]) / 2 + (rnd.random() - 0.5) * amp
        step //= 2
        amp *= rough
    h -= h.min()
    return h / max(h.max(), 1e-6)


def _mountains(img, sp, rnd, rng, size, horizon):
    """Two ranges with shaded faces and snow caps; the rock is streaked by noise."""
    _, hor, light, _ = SKY[sp["time"]]
    xs = np.linspace(0, size, 65)
    for k, (height, haze) in enumerate(((0.30, 0.55), (0.17, 0.25))):
        rock = mix(mul((112, 108, 124), light), hor, haze)
        dark = mul(rock, (0.72, 0.74, 0.8))
        snow = mix(mul((244, 246, 252), light), hor, haze * 0.5)
        h = (_ridge(rnd, 0.55) * 0.75 + 0.25) * height * size * rnd.uniform(0.8, 1.1)
        ys = horizon - h
        layer = Image.new("RGBA", (size, size), (0, 0, 0, 0))
        d = ImageDraw.Draw(layer)
        d.polygon([(0, horizon)] + list(zip(xs, ys)) + [(size, horizon)], fill=rock + (255,))
        for i in range(1, 64):
            if h[i] <= h[i - 1] or h[i] < h[i + 1]:
                continue
            x, y, drop = xs[i], ys[i], h[i] * rnd.uniform(0.5, 0.9)
            face = ((0, 0), (0.55, 1), (0.12, 0.8), (-0.05, 0.45))
            d.polygon([(x + drop * u, y + drop * v) for u, v in face], fill=dark + (255,))
            if k == 0 and h[i] > 0.55 * h.max():
                c = h[i] * 0.28
                cap = ((0, -0.03), (0.5, 1), (0.2, 0.7), (0, 1.1), (-0.2, 0.7), (-0.5, 1))
                d.polygon([(x + c * u, y + c * v) for u, v in cap], fill=snow + (255,))
        a = np.asarray(layer).astype(np.float32)
        streak = 1 + 0.16 * _field(rng, "rock", size) * (1 - haze)
        rgb = np.clip(a[..., :3] * streak[..., None], 0, 255)
        img = Image.fromarray(np.where(a[..., 3:] > 0, rgb, np.asarray(img)).astype(np.uint8))
    return img


def _hills(d, sp, rnd, size, horizon):
    _, hor, light, _ = SKY[sp["time"]]
    xs = np.linspace(0, size, 65)
    u = size / 384
    for height, haze in ((0.15, 0.5), (0.09, 0.25)):
        base = {"meadow": (72, 122, 62), "snow": (200, 210, 226), "desert": (206, 150, 92)}[sp["ground"]]
        col = mix(mul(base, light), hor, haze)
        phase, freq = rnd.uniform(0, 7), rnd.uniform(4, 9)
        ys = horizon - height * size * (0.55 + 0.45 * np.sin(xs / size * freq + phase)) - 4 * u
        d.polygon([(0, horizon + 1)] + list(zip(xs, ys)) + [(size, horizon + 1)], fill=col)
        for _ in range(45):
            i = rnd.randrange(65)
            x, y, r = xs[i] + rnd.uniform(-4, 4) * u, rnd.uniform(ys[i] + 4 * u, horizon), rnd.uniform(1.5, 4) * u
            if y > ys[i] + 3 * u:
                d.ellipse((x - r * 1.4, y - r, x + r * 1.4, y + r), fill=mul(col, (0.86, 0.88, 0.86)))


def _ground(img, sp, rnd, rng, size, horizon, sun):
    """Land and water as textured arrays. Returns (image, the row where dry land begins, the river's middle and half
    width at a row, or None)."""
    _, hor, light, glow = SKY[sp["time"]]
    a = np.asarray(img).astype(np.float32)
    rows = np.arange(size, dtype=np.float32)[:, None]
    xx = np.arange(size, dtype=np.float32)[None] / size
    depth = np.clip((rows - horizon) / (size - horizon), 0, 1)
    soft = _field(rng, "soft", size)
    grain = {"meadow": 0.26, "snow": 0.05, "desert": 0.09}[sp["ground"]]
    tex = soft * (0.14 if sp["ground"] == "snow" else 0.20) + _field(rng, "fine", size) * grain * (0.35 + depth)
    if sp["ground"] == "desert":  # wind ripples, wider towards us
        tex = tex + 0.10 * np.sin(rows / size * 95 / (0.35 + depth) + 9 * soft + 6 * xx) * depth
    land = np.array(mul(GROUND[sp["ground"]], light), np.float32) * (0.80 + 0.25 * depth + tex)[..., None]

    shore = horizon + (int(size * rnd.uniform(0.12, 0.18)) if sp["water"] == "sea" else 0)
    wobble = np.sin(xx * rnd.uniform(4, 8) + rnd.random() * 6) * 0.012 + 0.006 * np.sin(xx * 23 + rnd.random() * 6)
    edge = shore + wobble * size * (1 if sp["water"] == "sea" else 0.4)
    wave = _field(rng, "wave", size)
    foam = np.array(mul((245, 248, 250), light), np.float32)
    u, river = size / 384, None
    if sp["water"]:
        w = np.array(mix(mul((44, 112, 150), light), hor, 0.30), np.float32)
        water = w * (1.0 + 0.38 * wave * (0.4 + depth * 1.6))[..., None]
        if sp["disc"]:  # the road of the sun or the moon on the water
            road = np.exp(-(((xx - sun[0]) / 0.07) ** 2)) * (0.5 + np.clip(wave * 2.2, -0.5, 0.8))
            water = water + road[..., None] * np.array(glow, np.float32) * 1.7
    if sp["water"] == "sea":
        a = np.where((rows >= horizon)[..., None], water, a)
        a = np.where((np.abs(rows - edge + 3 * u * wave) < 2.2 * u)[..., None], foam, a)
    a = np.where((rows >= edge)[..., None], land, a)
    if sp["water"] == "river":
        x0, bend, phase = rnd.uniform(0.3, 0.7), rnd.uniform(0.10, 0.20), rnd.uniform(0, 6.3)

        def river(at):  # middle and half width, in canvas widths, at a depth of 0 (horizon) to 1 (bottom)
            return x0 + bend * np.sin(phase + 4.5 * at**0.6) * (0.2 + at), 0.012 + 0.13 * at

        middle, half = river(depth)
        off = np.abs(xx - middle) - half
        bank = np.array(mul(GROUND[sp["ground"]], light, 0.66), np.float32)
        dry = rows < edge
        a = np.where((~dry & (off < 0.008))[..., None], bank, a)
        a = np.where((~dry & (off < 0))[..., None], water, a)
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8)), shore + 10 * u, river and (river, horizon)


def _crests(d, sp, rnd, size, horizon, shore):
    """Short bright lines on the sea, longer towards the shore."""
    _, hor, light, _ = SKY[sp["time"]]
    col = mix(mul((150, 196, 214), light), hor, 0.35)
    for _ in range(46):
        t = rnd.random() ** 0.8
        x, y, half = rnd.random() * size, horizon + (shore - horizon) * t, size * (0.008 + 0.022 * t) * rnd.uniform(0.6, 1.2)
        d.arc((x - half, y - half * 0.2, x + half, y + half * 0.3), 190, 350, fill=col, width=max(1, round(size / 500)))


def _in_river(river, x, y, size, margin):
    if river is None:
        return False
    course, horizon = river
    middle, half = course(max(0.0, min(1.0, (y - horizon) / (size - horizon))))
    return abs(x / size - middle) < half + margin


def _litter(d, sp, rnd, size, low, river):
    """What lies on the ground: blades and flowers, drifts, pebbles; nearer ones are larger."""
    u, light = size / 384, SKY[sp["time"]][2]

    def spots(n, top=low):
        for _ in range(n):
            x, y = rnd.random() * size, rnd.uniform(top, size)
            if not _in_river(river, x, y, size, 0.01):
                yield x, y, 0.3 + (y - low) / (size - low)

    if sp["ground"] == "meadow":
        greens = ((58, 112, 38), (130, 186, 74), (78, 140, 44), (108, 168, 60))
        for x, y, k in spots(420):
            for _ in range(2):
                tip = x + rnd.uniform(-4, 4) * k * u, y - rnd.uniform(6, 10) * k * u
                d.line((x, y) + tip, fill=mul(rnd.choice(greens), light), width=max(1, round((1.6 if k > 0.8 else 1) * u)))
                x += rnd.uniform(1, 3) * u
        if sp["flowers"]:
            col = mul(rnd.choice(((250, 240, 120), (244, 120, 140), (250, 250, 250))), light)
            for x, y, k in spots(70, low + 14 * u):
                things.flower(d, x, y, 3.0 * k * u, col, light)
    elif sp["ground"] == "snow":
        for x, y, k in spots(14):
            r = rnd.uniform(14, 40) * u
            d.arc((x - r, y, x + r, y + r * 0.5), 200, 320, fill=mul((190, 204, 228), light), width=max(1, round(3 * u)))
    else:
        for x, y, k in spots(34):
            r = rnd.uniform(2, 5) * u * k
            d.ellipse((x - r, y - r * 0.7, x + r, y + r * 0.7), fill=mul((158, 118, 72), light))
            d.ellipse((x - r * 0.6, y - r * 0.6, x + r * 0.1, y - r * 0.1), fill=mul((196, 158, 108), light))


def _placed(sp, rnd, size, low, river):
    """(row of the foot, kind, middle, extent) of every thing that stands on the ground, all in pixels."""

    def dry(x, y, margin):
        for _ in range(12):
            if not _in_river(river, x, y, size, margin):
                break
            x = rnd.uniform(0.04, 0.96) * size
        return x

    out, colours = [], list(HOUSES)
    if sp["subject"] == "house":
        y = low + size * rnd.uniform(0.10, 0.20)
        out.append((y, "house " + sp["house"], dry(size * rnd.uniform(0.25, 0.75), y, 0.13), size * rnd.uniform(0.22, 0.29)))
    elif sp["subject"] == "castle":
        y = low + size * rnd.uniform(0.05, 0.12)
        out.append((y, "castle", dry(size * rnd.uniform(0.3, 0.7), y, 0.16), size * rnd.uniform(0.34, 0.42)))
    elif sp["subject"] == "village":
        n = rnd.randint(3, 4)
        for i in range(n):
            y = low + size * rnd.uniform(0.04, 0.14)
            x = dry(size * (0.14 + 0.72 * (i + rnd.uniform(-0.15, 0.15)) / (n - 1)), y, 0.09)
            out.append((y, "house " + rnd.choice(colours), x, size * rnd.uniform(0.15, 0.19)))
    if sp["trees"]:
        for _ in range(rnd.randint(2, 5)):
            y = min(low + size * rnd.uniform(0.02, 0.30), size * 0.99)
            extent = (0.16 + 0.60 * (y - low) / size) * size * rnd.uniform(0.9, 1.15)
            out.append((y, sp["trees"], dry(rnd.random() * size, y, 0.03), extent))
    return out


def whole(seed):
    """A whole scene at the training size: (uint8 [128, 128, 3], caption)."""
    img, caption, _ = render(seed, WHOLE)
    return np.asarray(img.reduce(WHOLE // OUT)), caption


def windows(seed, n=WINDOWS):
    """Windows of one scene drawn large, as a hires pass meets them: (uint8 [n, 128, 128, 3], caption)."""
    img, caption, _ = render(seed, CLOSE)
    rnd = random.Random(seed + 1)
    scaled, out = {CLOSE: img.filter(ImageFilter.GaussianBlur(0.6))}, []
    for _ in range(n):
        z = rnd.choice(ZOOMS)
        if z not in scaled:
            scaled[z] = img.resize((z, z), Image.BOX if CLOSE % z == 0 else Image.LANCZOS)
        x = rnd.randint(0, z - OUT)
        y = int((z - OUT) * max(rnd.random(), rnd.random()))  # more ground than sky
        out.append(np.asarray(scaled[z].crop((x, y, x + OUT, y + OUT))))
    return np.stack(out), caption


def _fill(job):
    out, name, lo, hi, seed0 = job
    a = np.lib.format.open_memmap(f"{out}/{name}.npy", mode="r+")
    for i in range(lo, hi):
        if name == "whole":
            a[i] = whole(seed0 + i)[0]
        else:
            a[i * WINDOWS : (i + 1) * WINDOWS] = windows(seed0 + i)[0]


def write(out, scenes, canvases, procs, seed0):
    """Writes the training set: the pictures and, a line for each, the attributes of their scene."""
    if os.path.exists(f"{out}/crop.jsonl"):
        print(f"{out} is complete; remove it to draw the scenes again")
        return
    os.makedirs(out, exist_ok=True)
    parts = {"whole": (scenes, 1, seed0), "crop": (canvases, WINDOWS, seed0 + 500_000)}
    jobs = []
    for name, (n, each, first) in parts.items():
        np.lib.format.open_memmap(f"{out}/{name}.npy", mode="w+", dtype=np.uint8, shape=(n * each, OUT, OUT, 3))
        part = 100 // each
        jobs += [(out, name, lo, min(lo + part, n), first) for lo in range(0, n, part)]
    for size in (WHOLE, CLOSE):  # before the processes part, so that they share it
        _bank(size)
    with Pool(procs) as pool:
        for k, _ in enumerate(pool.imap_unordered(_fill, jobs)):
            if k % 50 == 49 or k + 1 == len(jobs):
                print(f"scenes: {k + 1} of {len(jobs)} parts", flush=True)
    for name, (n, each, first) in parts.items():
        with open(f"{out}/{name}.jsonl", "w") as f:
            f.write("".join((json.dumps(spec_of(random.Random(first + i))) + "\n") * each for i in range(n)))


def sheet(path, seed0):
    """24 whole scenes over 24 windows."""
    page = Image.new("RGB", (OUT * 8, OUT * 6))
    for i in range(24):
        picture, caption = whole(seed0 + i)
        page.paste(Image.fromarray(picture), (i % 8 * OUT, i // 8 * OUT))
        if i % 3 == 0:
            close, _ = windows(seed0 + i, 3)
            for k in range(3):
                page.paste(Image.fromarray(close[k]), (i // 3 * OUT, (3 + k) * OUT))
        print(i, caption)
    page.save(path)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("out")
    p.add_argument("--scenes", type=int, default=16_000, help="whole scenes")
    p.add_argument("--canvases", type=int, default=1_500, help=f"large scenes, {WINDOWS} windows each")
    p.add_argument("--procs", type=int, default=os.cpu_count())
    p.add_argument("--seed0", type=int, default=1000)
    p.add_argument("--sheet", action="store_true", help="only a look: writes OUT/scenes.png")
    a = p.parse_args()
    if a.sheet:
        os.makedirs(a.out, exist_ok=True)
        sheet(f"{a.out}/scenes.png", a.seed0)
    else:
        write(a.out, a.scenes, a.canvases, a.procs, a.seed0)


if __name__ == "__main__":
    main()
