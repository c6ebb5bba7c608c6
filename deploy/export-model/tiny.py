"""Tiny models with seeded random weights for the tests: a Stable Diffusion 1.x pipeline, the same as an original
single-file checkpoint, LoRA layers for it, and an ESRGAN network. Nothing is downloaded.
"""

import json
import re
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

LAYERS = 1
"""Residual blocks a level of the UNet and of the VAE's encoder."""


def model() -> StableDiffusionPipeline:
    """The pipeline, the same weights at each call: UNet 1.6 million, VAE 0.26, text encoder 0.05."""
    tokens = tokenizer()
    last = len(tokens) - 1
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=last + 1,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=last - 1,
            eos_token_id=last,
            pad_token_id=last,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        cross_attention_dim=32,
        norm_num_groups=8,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=LAYERS,
        attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    vae = AutoencoderKL(
        sample_size=64,
        latent_channels=4,
        norm_num_groups=8,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=LAYERS,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        set_alpha_to_one=False,
        skip_prk_steps=True,
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae=season(vae),
        text_encoder=season(text_encoder),
        tokenizer=tokens,
        unet=season(unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def season(module: nn.Module) -> nn.Module:
    """Gives norms and biases values of their own: at 1 and 0 a test would not see them swapped or lost."""
    generator = torch.Generator().manual_seed(1)
    for name, weight in module.named_parameters():
        if weight.ndim == 1:
            weight.data = float(name.endswith("weight")) + 0.2 * torch.randn(weight.shape, generator=generator)
    return module.eval()


def tokenizer() -> CLIPTokenizer:
    """CLIP's format with six merges."""
    merges = ["t h", "th e</w>", "c a", "ca t</w>", "m o", "mo o"]
    symbols = list(bytes_to_unicode().values())
    words = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, list_ = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps({w: i for i, w in enumerate(words)}), encoding="utf-8")
        list_.write_text("\n".join(["#version: 0.2", *merges]) + "\n")
        return CLIPTokenizer(str(vocabulary), str(list_), pad_token="<|endoftext|>", model_max_length=77)


# === the original checkpoint's names ===


def checkpoint(pipe: StableDiffusionPipeline) -> dict[str, torch.Tensor]:
    """All weights under the names of the original (CompVis) code."""
    named = {}
    for name, tensor in pipe.unet.state_dict().items():
        named["model.diffusion_model." + unet_name(name)] = tensor
    for name, tensor in pipe.vae.state_dict().items():
        original = "first_stage_model." + vae_name(name)
        # The attention's projections are 1x1 convolutions there.
        named[original] = (
            tensor[..., None, None] if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", original) else tensor
        )
    for name, tensor in pipe.text_encoder.state_dict().items():
        named["cond_stage_model.transformer." + name] = tensor
    return {n: t.contiguous() for n, t in named.items()}


def unet_name(name: str) -> str:
    """The original name of a UNet weight: blocks are counted through, `LAYERS` + 1 a level."""
    for ours, original in (
        ("conv_in.", "input_blocks.0.0."),
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("conv_norm_out.", "out.0."),
        ("conv_out.", "out.2."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ):
        if name.startswith(ours):
            return resnet_name(original + name.removeprefix(ours))
    side, level, kind, index, rest = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name).groups()
    level, index = int(level), int(index)
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{(LAYERS + 1) * (level + 1)}.0.{rest.replace('conv', 'op', 1)}"
        return resnet_name(f"input_blocks.{(LAYERS + 1) * level + index + 1}.{int(kind == 'attentions')}.{rest}")
    if kind == "upsamplers":
        return f"output_blocks.{(LAYERS + 1) * level + LAYERS}.{1 if level == 0 else 2}.{rest}"
    return resnet_name(f"output_blocks.{(LAYERS + 1) * level + index}.{int(kind == 'attentions')}.{rest}")


def resnet_name(name: str) -> str:
    """The original names inside a residual block of the UNet; what is in an attention block passes unchanged."""
    if "transformer_blocks" in name:
        return name
    for ours, original in (
        (".norm1.", ".in_layers.0."),
        (".conv1.", ".in_layers.2."),
        (".time_emb_proj.", ".emb_layers.1."),
        (".norm2.", ".out_layers.0."),
        (".conv2.", ".out_layers.3."),
        (".conv_shortcut.", ".skip_connection."),
    ):
        name = name.replace(ours, original)
    return name


def vae_name(name: str) -> str:
    """The original name of a VAE weight; the decoder's levels are counted from the other end."""
    name = re.sub(r"decoder\.up_blocks\.(\d)", lambda m: f"decoder.up.{3 - int(m[1])}", name)
    for ours, original in (
        ("down_blocks.", "down."),
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0", "mid.attn_1"),
        ("resnets.", "block."),
        ("downsamplers.0", "downsample"),
        ("upsamplers.0", "upsample"),
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
        ("group_norm", "norm"),
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
    ):
        name = name.replace(ours, original)
    return name


# === LoRA ===


def adapted(pipe: StableDiffusionPipeline) -> dict[str, nn.Module]:
    """The layers that our LoRA changes: all projections of the text encoder's attention, and in the UNet those of
    every attention, the 1x1 convolutions around them and the 3x3 convolutions of the first level.
    """
    unet = r"attn[12]\.to_(q|k|v|out\.0)$|proj_in$|down_blocks\.0\.resnets\.0\.conv[12]$"
    parts = (("unet", pipe.unet, unet), ("text_encoder", pipe.text_encoder, r"self_attn\.\w+_proj$"))
    return {f"{p}.{n}": m for p, net, wanted in parts for n, m in net.named_modules() if re.search(wanted, n)}


def lora(pipe: StableDiffusionPipeline, spelling: str, rank: int, alpha: float) -> dict[str, torch.Tensor]:
    """The tensors of a LoRA file in kohya's or diffusers' spelling; the latter has no alpha (it means alpha = rank)."""
    tensors = {}
    for number, (name, layer) in enumerate(adapted(pipe).items()):
        generator = torch.Generator().manual_seed(100 + number)
        out, *rest = layer.weight.shape
        down = torch.randn((rank, *rest), generator=generator)
        up = 0.1 * torch.randn((out, rank, *[1] * (len(rest) - 1)), generator=generator)
        if spelling == "diffusers":
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
            continue
        part, _, rest = name.partition(".")
        stem = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + rest.replace(".", "_")
        tensors |= {
            f"{stem}.lora_down.weight": down,
            f"{stem}.lora_up.weight": up,
            f"{stem}.alpha": torch.tensor(alpha),
        }
    return tensors


# === ESRGAN ===


class Dense(nn.Module):
    """Five convolutions, each of which sees all before it; `features` in and out, `growth` between."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        for i in range(1, 6):
            setattr(self, f"conv{i}", nn.Conv2d(features + growth * (i - 1), growth if i < 5 else features, 3, 1, 1))

    def forward(self, x):
        seen = [x]
        for i in range(1, 5):
            seen.append(F.leaky_relu(getattr(self, f"conv{i}")(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.conv5(torch.cat(seen, 1))


class Block(nn.Module):
    """Three dense blocks in a residual."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (Dense(features, growth) for _ in range(3))

    def forward(self, x):
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class Esrgan(nn.Module):
    """ESRGAN's generator at 4x with Real-ESRGAN's names (Wang et al. 2018, 2021), small.

    `spandrel` reads features and blocks from the weights but takes a growth of 32 for granted.
    """

    def __init__(self, features: int = 8, blocks: int = 1, growth: int = 32):
        super().__init__()
        self.conv_first = nn.Conv2d(3, features, 3, 1, 1)
        self.body = nn.Sequential(*(Block(features, growth) for _ in range(blocks)))
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            setattr(self, name, nn.Conv2d(features, features, 3, 1, 1))
        self.conv_last = nn.Conv2d(features, 3, 3, 1, 1)

    def forward(self, x):
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))


def upscaler() -> Esrgan:
    """The same weights at each call."""
    torch.manual_seed(4)
    return Esrgan().eval()
