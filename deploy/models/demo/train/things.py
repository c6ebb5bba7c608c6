"""What stands in a scene: houses, castles, trees, boats, flowers. Each is drawn with PIL at its foot (x, y), in pixels,
at a given extent (width of a building or boat, height of a tree); `light` multiplies every colour."""

import math

HOUSES = {"red": (186, 52, 44), "white": (236, 232, 222), "blue": (66, 108, 178), "yellow": (228, 186, 70)}


def mul(colour, light, k=1.0):
    """A colour under a light, [0, 255]."""
    return tuple(int(max(0, min(255, v * l * k))) for v, l in zip(colour, light))


def mix(a, b, t):
    """t of the way from a to b."""
    return tuple(int(x + (y - x) * t) for x, y in zip(a, b))


def shadow(d, x, y, half, colour):
    d.ellipse((x - half, y - half * 0.16, x + half, y + half * 0.16), fill=colour)


def flower(d, x, y, r, colour, light):
    """Petals round a middle; a dot from afar."""
    for k in range(5):
        a = k * 2 * math.pi / 5
        px, py, q = x + math.cos(a) * r * 0.6, y + math.sin(a) * r * 0.6, r * 0.5
        d.ellipse((px - q, py - q, px + q, py + q), fill=colour)
    d.ellipse((x - r * 0.3, y - r * 0.3, x + r * 0.3, y + r * 0.3), fill=mul((226, 160, 50), light))


def _window(d, x, y, s, frame, glass, u):
    """A framed window with a cross, s its half side."""
    d.rectangle((x - s * 1.25, y - s * 1.25, x + s * 1.25, y + s * 1.25), fill=frame)
    d.rectangle((x - s, y - s, x + s, y + s), fill=glass)
    d.line((x, y - s, x, y + s), fill=frame, width=max(1, round(s * 0.25)))
    d.line((x - s, y, x + s, y), fill=frame, width=max(1, round(s * 0.25)))


def _glass(sp, light):
    return (255, 214, 110) if sp["time"] in ("night", "sunset") else mul((120, 160, 190), light)


def house(colour):
    """A house of one wall colour: planks, two windows, a door, a tiled roof and a chimney."""

    def draw(d, rnd, x, y, w, light, sp):
        h, wall, u = w * 0.62, mul(HOUSES[colour], light), w / 100
        left, right, top = x - w / 2, x + w / 2, y - h
        thin = max(1, round(u * 0.9))
        d.rectangle((left, top, right, y), fill=wall)
        for i in range(1, 9):
            d.line((left, top + h * i / 9, right, top + h * i / 9), fill=mul(HOUSES[colour], light, 0.80), width=thin)
        roof = mul((214, 222, 236) if sp["ground"] == "snow" else (96, 66, 58), light)
        dark, rise, cx = mul(roof, (0.74, 0.74, 0.76)), h * 0.72, x + w * 0.24
        d.rectangle((cx - w * 0.05, top - rise * 0.95, cx + w * 0.05, top - rise * 0.2), fill=mul((130, 92, 84), light))
        eave, crest = w * 0.59, w * 0.16
        d.polygon([(x - eave, top), (x - crest, top - rise), (x + crest, top - rise), (x + eave, top)], fill=roof)
        for i in range(1, 7):  # rows of tiles, each row shifted by half a tile
            q = i / 6
            half, row = crest + (eave - crest) * q, top - rise * (1 - q)
            d.line((x - half, row, x + half, row), fill=dark, width=max(1, round(u * 1.6)))
            for k in range(9):
                tx = x - half + 2 * half * (k + 0.5 * (i % 2)) / 9
                d.line((tx, row - rise / 6, tx, row), fill=dark, width=thin)
        for side in (-0.28, 0.28):
            _window(d, x + side * w, top + h * 0.42, w * 0.10, mul((248, 246, 240), light), _glass(sp, light), u)
        d.rectangle((x - w * 0.085, y - h * 0.55, x + w * 0.085, y), fill=mul((92, 58, 38), light))
        for k in (-0.03, 0.03):
            d.line((x + k * w, y - h * 0.53, x + k * w, y), fill=mul((70, 42, 28), light), width=thin)
        d.ellipse((x + w * 0.04, y - h * 0.29, x + w * 0.06, y - h * 0.25), fill=(240, 210, 90))

    return draw


def castle(d, rnd, x, y, w, light, sp):
    """Grey walls of stone blocks with battlements, two towers with pointed roofs and flags, a gate."""
    stone, joint = mul((164, 160, 158), light), mul((128, 124, 124), light)
    roof = mul(rnd.choice(((150, 50, 46), (60, 76, 140))), light)
    thin = max(1, round(w / 130))

    def wall(x0, y0, x1, y1):
        d.rectangle((x0, y0, x1, y1), fill=stone)
        step, row, k = w * 0.045, y1, 0
        while row > y0:
            d.line((x0, row, x1, row), fill=joint, width=thin)
            q = x0 + step * (0.7 if k % 2 else 1.4)
            while q < x1:
                d.line((q, max(row - step, y0), q, row), fill=joint, width=thin)
                q += step * 1.4
            row, k = row - step, k + 1
        tooth = w * 0.04
        q = x0
        while q + tooth <= x1 + 1:
            d.rectangle((q, y0 - tooth, q + tooth, y0), fill=stone)
            q += tooth * 2

    wall(x - w * 0.36, y - w * 0.32, x + w * 0.36, y)
    for side in (-1, 1):
        tx, half, high = x + side * w * 0.38, w * 0.11, w * (0.52 if side < 0 else 0.58)
        wall(tx - half, y - high, tx + half, y)
        tip = y - high - w * 0.28
        d.line((tx, tip - w * 0.10, tx, tip), fill=joint, width=max(1, round(w / 90)))
        d.polygon([(tx, tip - w * 0.10), (tx + w * 0.08, tip - w * 0.07), (tx, tip - w * 0.04)], fill=mul((220, 60, 50), light))
        d.polygon([(tx - half * 1.3, y - high), (tx, tip), (tx + half * 1.3, y - high)], fill=roof)
        d.polygon([(tx, tip), (tx + half * 1.3, y - high), (tx + half * 0.3, y - high)], fill=mul(roof, (0.78, 0.78, 0.8)))
        wy, s = y - high * 0.72, w * 0.025
        d.rectangle((tx - s, wy - s * 2, tx + s, wy + s * 2), fill=_glass(sp, light))
    g = w * 0.10
    d.rectangle((x - g, y - g * 1.2, x + g, y), fill=mul((70, 46, 32), light))
    d.ellipse((x - g, y - g * 2.2, x + g, y - g * 0.2), fill=mul((70, 46, 32), light))
    for k in (-0.5, 0, 0.5):
        d.line((x + g * k, y - g * 1.9, x + g * k, y), fill=mul((48, 32, 24), light), width=thin)


def pine(d, rnd, x, y, h, light, sp):
    """Five skirts of needles with a lit left edge, snow on it where there is snow."""
    d.rectangle((x - h * 0.025, y - h * 0.18, x + h * 0.025, y), fill=mul((88, 60, 40), light))
    edge = mul((226, 234, 244) if sp["ground"] == "snow" else (70, 132, 78), light)
    wide = max(1, round(h * 0.02))
    for i in range(5):
        base, half = y - h * (0.12 + 0.16 * i), h * (0.25 - 0.04 * i)
        top = base - h * 0.27
        hem = [(x + half * (1 - k / 3), base - (h * 0.035 if k % 2 else 0) + rnd.uniform(-1, 1) * h / 80) for k in range(7)]
        d.polygon([(x, top)] + hem, fill=mul((34, 88 + 5 * i, 52), light))
        for k in range(5):  # needles hang from the middle outwards
            s = (k - 2) / 2.2
            d.line((x + s * half * 0.3, base - h * 0.14, x + s * half * 0.8, base - h * 0.02),
                   fill=mul((26, 72 + 4 * i, 42), light), width=max(1, round(h * 0.010)))
        d.line((x, top, x - half * 0.8, base - h * 0.02), fill=edge, width=wide)


def _crown(bases):
    def draw(d, rnd, x, y, h, light, sp):
        trunk = [(x - h * 0.05, y), (x - h * 0.025, y - h * 0.55), (x + h * 0.025, y - h * 0.55), (x + h * 0.05, y)]
        d.polygon(trunk, fill=mul((104, 74, 48), light))
        base = rnd.choice(bases)
        for k, n, spread in ((0.75, 12, 0.30), (1.0, 18, 0.27), (1.28, 16, 0.20)):
            for _ in range(n):
                a, q = rnd.uniform(0, 2 * math.pi), rnd.random() ** 0.5 * spread * h
                px = x + math.cos(a) * q - (k - 1) * h * 0.12
                py = y - h * 0.66 + math.sin(a) * q * 0.8 - (k - 1) * h * 0.16
                r = h * rnd.uniform(0.035, 0.085)
                d.ellipse((px - r, py - r, px + r, py + r), fill=mul(base, light, k * rnd.uniform(0.95, 1.05)))
                for _ in range(3):  # leaves
                    a, q, s = rnd.uniform(0, 2 * math.pi), r * rnd.uniform(0.3, 1.0), r * rnd.uniform(0.16, 0.30)
                    lx, ly = px + math.cos(a) * q, py + math.sin(a) * q
                    leaf = mul(base, light, k * rnd.choice((0.84, 1.14)))
                    d.ellipse((lx - s, ly - s * 0.7, lx + s, ly + s * 0.7), fill=leaf)

    return draw


def palm(d, rnd, x, y, h, light, sp):
    """A bent, ringed trunk and nine fronds with leaflets."""
    bend = rnd.uniform(-0.16, 0.16) * h
    pts = [(x + bend * (i / 8) ** 2, y - h * 0.78 * i / 8) for i in range(9)]
    d.line(pts, fill=mul((138, 102, 66), light), width=max(2, round(h * 0.055)))
    for px, py in pts[1:-1]:
        d.line((px - h * 0.03, py, px + h * 0.03, py), fill=mul((98, 70, 44), light), width=max(1, round(h * 0.018)))
    tx, ty = pts[-1]
    for i in range(9):
        a = -0.35 + 3.84 * i / 8 + rnd.uniform(-0.12, 0.12)
        long = h * rnd.uniform(0.27, 0.36)
        green = mul(((46, 118, 52), (84, 152, 62))[i % 2], light)
        rib = [(tx, ty)]
        for k in range(1, 6):
            t = k / 5
            px, py = tx - math.cos(a) * long * t, ty - math.sin(a) * long * t * (1 - 0.2 * t) + long * 0.55 * t * t
            rib.append((px, py))
            d.line((px, py, px + rnd.uniform(-0.02, 0.02) * h, py + h * 0.055), fill=green, width=max(1, round(h * 0.018)))
        d.line(rib, fill=green, width=max(2, round(h * 0.034)))


def boat(d, rnd, x, y, w, light):
    """A sailing boat: hull, mast, two sails, and its darker mirror in the water."""
    d.ellipse((x - w * 0.5, y, x + w * 0.5, y + w * 0.12), fill=mul((30, 62, 88), light))
    hull = [(x - w * 0.5, y - w * 0.16), (x + w * 0.5, y - w * 0.16), (x + w * 0.34, y + w * 0.03), (x - w * 0.34, y + w * 0.03)]
    d.polygon(hull, fill=mul((128, 72, 44), light))
    d.line((x - w * 0.46, y - w * 0.12, x + w * 0.46, y - w * 0.12), fill=mul((236, 226, 206), light), width=max(1, round(w * 0.03)))
    d.line((x, y - w * 0.16, x, y - w * 1.0), fill=mul((90, 66, 50), light), width=max(1, round(w * 0.03)))
    sail = mul((248, 246, 238), light)
    d.polygon([(x + w * 0.03, y - w * 0.98), (x + w * 0.03, y - w * 0.24), (x + w * 0.46, y - w * 0.24)], fill=sail)
    d.polygon([(x - w * 0.03, y - w * 0.86), (x - w * 0.03, y - w * 0.24), (x - w * 0.34, y - w * 0.24)], fill=mul(sail, (0.88, 0.88, 0.9)))


DRAW = {f"house {c}": house(c) for c in HOUSES} | {
    "castle": castle,
    "pine trees": pine,
    "round trees": _crown(((64, 128, 48), (86, 140, 44))),
    "autumn trees": _crown(((206, 118, 36), (188, 74, 34), (216, 160, 50))),
    "palm trees": palm,
}
SHADOW = {f"house {c}": 0.62 for c in HOUSES} | {
    "castle": 0.55,
    "pine trees": 0.24,
    "round trees": 0.28,
    "autumn trees": 0.28,
    "palm trees": 0.22,
}
