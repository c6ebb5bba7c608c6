#!/usr/bin/env python3
"""Seeded random weights in, tiny upscaling networks in ONNX out, one for each way in which published ones are built.

    python tiny_upscalers.py OUT          ->  OUT/tiny-upscalers/*.onnx

    tiny-compact-x2, -x4    Real-ESRGAN's compact network: convolutions at the picture's size, one pixel shuffle
    tiny-folded-x2          Real-ESRGAN x2plus' way: blocks of 2x2 px go into channels, then a 4x network
Only tiny-compact-x2 says its factor in the file's metadata, as deploy/export-model writes it.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from runtime import session
from torch import nn

TOLERANCE = 1e-5
FEATURES = 8


class Compact(nn.Module):
    """Real-ESRGAN's SRVGGNetCompact: `depth` convolutions between the first and the last (published: 16 or 32)."""

    def __init__(self, scale: int, depth: int) -> None:
        super().__init__()
        self.scale = scale
        widths = [3, *[FEATURES] * (depth + 1), 3 * scale * scale]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in zip(widths, widths[1:]))
        self.activations = nn.ModuleList(nn.PReLU(FEATURES) for _ in range(depth + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 3, h, w] in 0..1 to [n, 3, scale * h, scale * w], about 0..1."""
        deep = x
        for conv, activation in zip(self.convs, self.activations):
            deep = activation(conv(deep))
        deep = F.pixel_shuffle(self.convs[-1](deep), self.scale)
        return deep + F.interpolate(x, scale_factor=float(self.scale), mode="nearest")


class Folded(nn.Module):
    """A 4x network on blocks of 2x2 px: 2x in all. A picture of odd sides is padded first, as spandrel does it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, FEATURES, 3, 1, 1)
        self.middle = nn.Conv2d(FEATURES, FEATURES, 3, 1, 2, dilation=2)
        self.up1, self.up2 = (nn.Conv2d(FEATURES, FEATURES, 3, 1, 1) for _ in range(2))
        self.last = nn.Conv2d(FEATURES, 3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 3, h, w] in 0..1 to [n, 3, 2h, 2w]."""
        _, _, height, width = x.shape
        padded = F.pad(x, (0, (2 - width % 2) % 2, 0, (2 - height % 2) % 2), "reflect")
        deep = self.first(F.pixel_unshuffle(padded, 2))
        deep = deep + F.leaky_relu(self.middle(deep), 0.2)
        for conv in (self.up1, self.up2):
            deep = F.leaky_relu(conv(F.interpolate(deep, scale_factor=2.0, mode="nearest")), 0.2)
        return self.last(deep)[:, :, : 2 * height, : 2 * width]


def seeded(net: nn.Module, seed: int) -> nn.Module:
    """Random weights, loud enough that each layer shows in a picture of 8 bits, rounded to halves."""
    generator = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        fan_in = weight[0].numel() if 1 < weight.ndim else 100
        weight.data = (torch.randn(weight.shape, generator=generator) * 0.8 / fan_in**0.5).half().float()
    return net.eval()


def export(net: nn.Module, scale: int, target: Path) -> None:
    """Writes a graph with free sides and compares it with torch, on odd sides too."""
    picture = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(
        net, (picture,), str(target), input_names=["input"], output_names=["output"], opset_version=18,
        dynamic_axes={
            "input": {0: "batch_size", 2: "height", 3: "width"},
            "output": {0: "batch_size", 2: f"height * {scale}", 3: f"width * {scale}"},
        },
        dynamo=False,
    )  # fmt: skip
    model = onnx.load(str(target))
    del model.graph.value_info[:]
    if target.stem == "tiny-compact-x2":
        onnx.helper.set_model_props(model, {"scale": str(scale)})
    onnx.save(model, str(target))
    for side in (24, 31):
        odd = torch.rand(1, 3, side, 37, generator=torch.Generator().manual_seed(side))
        got = session(target).run(None, {"input": odd.numpy()})[0]
        difference = float(np.abs(net(odd).numpy() - got).max())
        if not difference < TOLERANCE:
            raise SystemExit(f"{target.name}: the exported graph differs from torch by {difference}")
    print(f"{target.name}: {target.stat().st_size:,} bytes")


@torch.no_grad()
def main() -> None:
    """Writes all of them."""
    parser = argparse.ArgumentParser(description="Make tiny random-weight upscaling networks.")
    parser.add_argument("out", type=Path, help="folder to write into")
    folder = parser.parse_args().out / "tiny-upscalers"
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    export(seeded(Compact(2, 3), 11), 2, folder / "tiny-compact-x2.onnx")
    export(seeded(Compact(4, 2), 12), 4, folder / "tiny-compact-x4.onnx")
    export(seeded(Folded(), 13), 2, folder / "tiny-folded-x2.onnx")


if __name__ == "__main__":
    main()
