#!/usr/bin/env python3
"""Golden values of the noise sources: torch.randn on a CPU generator, and Philox 4x32-10 with Box-Muller.

    python noise.py GOLDEN          writes GOLDEN/noise.safetensors and GOLDEN/noise.json

    cpu.SEED.words         the low 24 bits of 1300 successive draws of torch's generator (two refills of its state)
    cpu.SEED.draws         the draws of noise.json "draws", one after another from one generator, joined
    cpu.sizes              randn(n) from seed 42 for n = 1..200, joined
    cpu.canvas.H.W         randn(4, H, W) from seed 42: every 61st value, then the last 40
    nv.SEED.DRAW           draw number DRAW of 300 values, by the formula below in float64
"""
import json, sys
import numpy as np, torch
from safetensors.numpy import save_file

torch.set_num_threads(1)
SEEDS = (0, 1, 42, 2 ** 31 + 5, 2 ** 32 + 7, 2 ** 53 - 1)
DRAWS = (5, 20, 3, 16, 1, 63, 256, 7, 100, 17, 2, 31)
CANVASES = ((64, 64), (63, 65), (33, 57), (96, 97), (129, 131), (8, 9), (1, 5))


def randn(n, g): return torch.randn(n, generator=g).numpy()


def cpu(out):
    for seed in SEEDS:
        g = torch.Generator().manual_seed(seed)
        out[f"cpu.{seed}.words"] = torch.randint(0, 2 ** 24, (1300,), generator=g).numpy().astype(np.int32)
        g = torch.Generator().manual_seed(seed)
        out[f"cpu.{seed}.draws"] = np.concatenate([randn(n, g) for n in DRAWS])
    out["cpu.sizes"] = np.concatenate([randn(n, torch.Generator().manual_seed(42)) for n in range(1, 201)])
    for h, w in CANVASES:
        x = torch.randn(4, h, w, generator=torch.Generator().manual_seed(42)).numpy().ravel()
        out[f"cpu.canvas.{h}.{w}"] = np.concatenate([x[::61], x[-40:]])


def philox(counter, key):
    """Salmon et al. 2011, ten rounds; counter [4, n], key [2]; 32-bit words held in 64 bits."""
    low = np.uint64(0xFFFFFFFF)
    c, k = [np.asarray(v, dtype=np.uint64) for v in counter], [np.uint64(v) for v in key]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ k[0], b & low, (a >> np.uint64(32)) ^ c[3] ^ k[1], a & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return c


def nv_draw(seed, draw, n):
    zero = np.zeros(n)
    g = philox([zero + draw, zero, np.arange(n), zero], [seed & 0xFFFFFFFF, seed >> 32])
    u = g[0].astype(np.float64) * 2.0 ** -32 + 2.0 ** -33
    v = (g[1].astype(np.float64) * 2.0 ** -32 + 2.0 ** -33) * 2 * np.pi
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def nv(out):
    ones = 0xFFFFFFFF
    published = (   # Random123 kat_vectors, philox4x32 10: counter, key, expected
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, [ones] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
         [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]))
    for counter, key, expected in published:
        assert [int(v) for v in philox(counter, key)] == expected
    for seed in SEEDS:
        for draw in (0, 1, 7):
            out[f"nv.{seed}.{draw}"] = nv_draw(seed, draw, 300)


if __name__ == "__main__":
    folder, out = sys.argv[1], {}
    cpu(out)
    nv(out)
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, f"{folder}/noise.safetensors")
    with open(f"{folder}/noise.json", "w") as f:
        json.dump(dict(seeds=SEEDS, draws=DRAWS, canvases=CANVASES), f)
        f.write("\n")
