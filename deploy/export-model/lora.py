"""A LoRA file melted into a model: goes in a pipeline and a .safetensors file, comes out the pipeline with

    W + scale * (alpha / rank) * up @ down

in place of every weight W that the file speaks about (Hu et al. 2021; for convolutions `down` keeps the kernel).

kohya's names (`lora_unet_down_blocks_0_...`, what model sites carry) and diffusers' old and new ones are read. Done
here and not through diffusers, because that passes over layers it does not find and needs certain layers present.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open

import weights_file
from refused import Refused

FACTOR = re.compile(r"^(?P<layer>.+?)[._]lora(?:_linear_layer)?[._](?P<side>down|up|A|B)\.weight$")
"""The name of one of a layer's two matrices; A is down, B is up."""
OTHER_KINDS = {
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "dora_scale": "DoRA",
    "oft_": "OFT",
    "lora_mid": "LoRA with a middle",
}


@dataclass
class Layer:
    """The two factors of one layer: `down` [rank, in, ...kernel], `up` [out, rank, ...]."""

    factors: dict[str, torch.Tensor] = field(default_factory=dict)
    alpha: float | None = None

    def delta(self) -> torch.Tensor:
        """What is added to the weight at scale 1, [out, in, ...kernel]."""
        down, up = self.factors["down"].float(), self.factors["up"].float()
        product = up.flatten(1) @ down.flatten(1)
        rank = down.shape[0]
        return (rank if self.alpha is None else self.alpha) / rank * product.reshape(up.shape[0], *down.shape[1:])


def parse(text: str) -> tuple[Path, float]:
    """`FILE` or `FILE:SCALE`, as given on the command line."""
    name, colon, scale = text.rpartition(":")
    try:
        return (Path(name), float(scale)) if colon else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


@torch.no_grad()
def fuse(pipe: StableDiffusionPipeline, path: Path, scale: float) -> int:
    """Melts the file in; returns the number of layers. Refused, with nothing changed, unless every layer fits."""
    layers = _read(path)
    modules = _modules(pipe)
    unknown = [name for name in layers if name not in modules]
    if unknown:
        raise Refused(
            f"{path}: {len(unknown)} of its {len(layers)} layers are not in this model, such as {unknown[0]}; "
            "was it made for another kind?"
        )
    deltas = []
    for name, layer in layers.items():
        weight = modules[name].weight
        if layer.factors.keys() != {"down", "up"}:
            raise Refused(f"{path}: {name} has only one of its two factors; copy the file again")
        shapes = [tuple(layer.factors[side].shape) for side in ("down", "up")]
        try:
            # Some trainers write a 1x1 convolution's factors as matrices, and the other way round.
            deltas.append((weight, layer.delta().reshape(weight.shape)))
        except RuntimeError:
            raise Refused(
                f"{path}: does not fit this model: {name} is {tuple(weight.shape)} there, its factors are "
                f"{shapes[0]} and {shapes[1]}"
            ) from None
    for weight, delta in deltas:
        weight += scale * delta
    return len(layers)


def _read(path: Path) -> dict[str, Layer]:
    if path.is_file() and path.suffix != ".safetensors":
        raise Refused(f"{path}: a LoRA must be a .safetensors file; convert it first")
    names = weights_file.shapes(path)
    for mark, kind in OTHER_KINDS.items():
        if any(mark in name for name in names):
            raise Refused(f"{path}: a {kind} file; only plain LoRA can be fused")
    layers: dict[str, Layer] = {}
    with safe_open(str(path), framework="pt") as file:
        for name in names:
            if match := FACTOR.match(name):
                side = {"A": "down", "B": "up"}.get(match["side"], match["side"])
                layers.setdefault(match["layer"], Layer()).factors[side] = file.get_tensor(name)
        for name, layer in layers.items():
            if f"{name}.alpha" in names:
                layer.alpha = float(file.get_tensor(f"{name}.alpha"))
        _take_alphas(path, (file.metadata() or {}).get("lora_adapter_metadata"), layers)
    if not layers:
        raise Refused(f"{path}: holds no LoRA layers (names with lora_down or lora_A)")
    return {_module_name(name): layer for name, layer in layers.items()}


def _take_alphas(path: Path, metadata: str | None, layers: dict[str, Layer]) -> None:
    """diffusers keeps alpha in the file's metadata when it is not the rank."""
    settings = json.loads(metadata) if metadata else {}
    if any(
        settings.get(f"{part}.{key}") for part in ("unet", "text_encoder") for key in ("alpha_pattern", "use_rslora")
    ):
        raise Refused(f"{path}: scales its layers in a way (alpha_pattern or rslora) that only its own trainer knows")
    for name, layer in layers.items():
        alpha = settings.get(f"{name.partition('.')[0]}.lora_alpha")
        layer.alpha = layer.alpha if alpha is None else float(alpha)


def _module_name(name: str) -> str:
    """diffusers' old names (`attn1.processor.to_out`) as the modules they mean; others pass unchanged."""
    if ".processor." in name:
        name = name.replace(".processor.", ".")
        name += ".0" if name.endswith(".to_out") else ""
        name = name if name.startswith(("unet.", "text_encoder.")) else "unet." + name
    return name


def _modules(pipe: StableDiffusionPipeline) -> dict[str, torch.nn.Module]:
    """Every layer that a LoRA can change, under each name that files call it by."""
    found = {}
    for part, network, short in (("unet", pipe.unet, ("unet",)), ("text_encoder", pipe.text_encoder, ("te", "te1"))):
        for name, module in network.named_modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                found[f"{part}.{name}"] = module
                for prefix in short:
                    found[f"lora_{prefix}_{name.replace('.', '_')}"] = module
    return found
