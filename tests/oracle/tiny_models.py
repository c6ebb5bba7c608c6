#!/usr/bin/env python3
"""Seeded random weights in, tiny diffusers folders with the topology of Stable Diffusion 1.x and of SDXL's UNet out.

    python tiny_models.py OUT          ->  OUT/tiny-sd15/  OUT/tiny-sdxl/unet/  OUT/tiny-rrdbnet-x4.pt

Nothing is downloaded: the CLIP vocabulary is trained here on a few lines of text.
Every weight is rounded to half precision, so that ONNX files which store halves hold exactly these networks.

A random network amplifies: its latents leave every range a trained one has, and a bound in absolute terms means
nothing.  So a few channels of the UNet carry its input to its output (`pass_input_through`): it then predicts most of
the noise, as a trained one does, and the rest of it, which is random, stays a disturbance that a test can see.
"""

import argparse
import collections
import json
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.models.clip.tokenization_clip import bytes_to_unicode

CORPUS = (
    """a photo of a cat sitting on a wooden table near the window in the morning light
a photograph of an astronaut riding a horse on the moon, highly detailed, 4k, digital art
a wide panorama of snowy mountains at sunset with a lake and pine forest, oil painting
portrait of a young woman with red hair, studio lighting, sharp focus, 85mm lens
a medieval castle on a hill under a stormy sky, dramatic clouds, matte painting, trending on artstation
an isometric illustration of a small town with houses, trees, cars and people
low quality, blurry, bad anatomy, watermark, text, cropped, worst quality, jpeg artifacts
a cup of coffee on a desk, a dog running in the park, the city at night with neon lights
"""
    * 3
)
MERGES = 510
TEXT_WIDTH = 32
TEXT_GAIN = 3.0  # the prompt then changes a prediction by 4 % of its size
TIME_GAIN = 2.0  # half a timestep by 0.2 %: enough to tell a rounded timestep from a continuous one
SAMPLE_SIZE = 32  # latents; a quarter of the area of SD 1.x, so that a default tile (48) runs in tens of milliseconds


def train_merges() -> list[tuple[str, str]]:
    """The byte pairs of CORPUS, most frequent first (ties: the smaller pair), as CLIP's merges.txt lists them."""
    words = collections.Counter(re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", CORPUS.lower()))
    split = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < MERGES:
        pairs: collections.Counter[tuple[str, str]] = collections.Counter()
        for word, count in words.items():
            for pair in zip(split[word], split[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {word: merge_pair(symbols, best) for word, symbols in split.items()}
    return merges


def merge_pair(symbols: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """`symbols` with each occurrence of `pair`, from the left, made one symbol."""
    merged: list[str] = []
    at = 0
    while at < len(symbols):
        width = 2 if symbols[at : at + 2] == pair else 1
        merged.append("".join(symbols[at : at + width]))
        at += width
    return tuple(merged)


def make_tokenizer(folder: Path) -> tuple[CLIPTokenizer, int]:
    """A tokenizer in CLIP's own format: 256 byte symbols, the same with </w>, the merges, the two specials."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = list(bytes_to_unicode().values())
    merges = train_merges()
    vocabulary = [*symbols, *(s + "</w>" for s in symbols), *("".join(m) for m in merges)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(m) for m in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="<|endoftext|>", model_max_length=77
    )
    return tokenizer, len(vocabulary)


def spice(model: nn.Module, seed: int) -> nn.Module:
    """Gives norms and biases, which start at (1, 0) and 0, values that a test can see; turns training off."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            centre = 1.0 if name.endswith("weight") else 0.0
            parameter.data = centre + 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def round_to_half(model: nn.Module) -> nn.Module:
    """Every weight of `model` rounded to the nearest half, still stored in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    return model


def make_text_encoder(vocabulary: int) -> CLIPTextModel:
    """CLIP's text tower, 3 layers of width 32; its end token is the last of the vocabulary, as CLIP's is."""
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
    )  # fmt: skip
    return spice(CLIPTextModel(config), 10)


def make_vae() -> AutoencoderKL:
    """An 8x autoencoder with 22 norms in the decoder and one attention in each half."""
    torch.manual_seed(2)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=8 * SAMPLE_SIZE, scaling_factor=0.18215,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 8, 16, 16], layers_per_block=1, norm_num_groups=4,
    )  # fmt: skip
    return spice(vae, 12)


def make_unet() -> UNet2DConditionModel:
    """SD 1.x's UNet: 4 levels, cross-attention on the upper three, two heads."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=SAMPLE_SIZE, in_channels=4, out_channels=4, cross_attention_dim=TEXT_WIDTH, norm_num_groups=8,
        block_out_channels=(16, 16, 32, 32), layers_per_block=1,
        attention_head_dim=2,  # in SD 1.x configs this is the number of heads
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )  # fmt: skip
    spice(unet, 11)
    amplify(unet, ("attn2.to_v.weight", "attn2.to_out.0.weight"), TEXT_GAIN)
    amplify(unet, ("time_emb_proj.weight",), TIME_GAIN)
    return pass_input_through(unet, noise_gain=0.9, carrier_gain=3.0, random_gain=0.7)


def amplify(model: nn.Module, endings: tuple[str, ...], gain: float) -> None:
    """Multiplies the weights whose name ends so; a plain random network hardly heeds its text and its timestep."""
    for name, parameter in model.named_parameters():
        if name.endswith(endings):
            parameter.data *= gain


def pass_input_through(
    unet: UNet2DConditionModel, noise_gain: float, carrier_gain: float, random_gain: float
) -> UNet2DConditionModel:
    """Lets channels 0..8 of the first skip connection carry +x and -x of the four latent channels to the output.

    Channels 2i and 2i+1 form one norm group, so the last norm divides x_i by its own rms, and
    silu(a) - silu(-a) = a hands it on unchanged: out_i = noise_gain * x_i / rms(x_i) + random_gain * (the rest).
    `carrier_gain` is how loud x is among the random signals that share those channels.
    """
    out_weight, out_bias = unet.conv_out.weight.data, unet.conv_out.bias.data
    out_weight *= random_gain
    out_bias *= random_gain
    last = unet.up_blocks[-1].resnets[-1].conv_shortcut.weight.data
    skip = last.shape[1] - unet.conv_in.weight.shape[0]
    for channel in range(4):
        for sign, row in ((1.0, 2 * channel), (-1.0, 2 * channel + 1)):
            unet.conv_in.weight.data[row] = 0.0
            unet.conv_in.weight.data[row, channel, 1, 1] = sign
            unet.conv_in.bias.data[row] = 0.0
            last[row] *= random_gain
            last[row, skip + row] = carrier_gain
            unet.conv_norm_out.weight.data[row] = 1.0
            unet.conv_norm_out.bias.data[row] = 0.0
            out_weight[channel, row] = 0.0
            out_weight[channel, row, 1, 1] = sign * noise_gain
    return unet


def make_sdxl_unet() -> UNet2DConditionModel:
    """SDXL's UNet: 3 levels, two and more transformer layers, linear projections, pooled text and size as inputs."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        sample_size=SAMPLE_SIZE, in_channels=4, out_channels=4, cross_attention_dim=2 * TEXT_WIDTH, norm_num_groups=8,
        block_out_channels=(16, 16, 32), layers_per_block=1, attention_head_dim=(2, 2, 4),
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2), addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + TEXT_WIDTH,
    )  # fmt: skip
    return spice(unet, 11)


class DenseBlock(nn.Module):
    """Five convolutions, each reading all that came before; the last is added to the input at 0.2."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [features]
        self.convs = nn.ModuleList(
            nn.Conv2d(features + growth * i, width, 3, 1, 1) for i, width in enumerate(widths)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, features, h, w] in and out."""
        seen = [x]
        for conv in self.convs[:-1]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), 0.2))
        return self.convs[-1](torch.cat(seen, 1)) * 0.2 + x


class RRDBNet(nn.Module):
    """The network of ESRGAN and Real-ESRGAN x4 (published: 64 features, 23 blocks, growth 32)."""

    def __init__(self, features: int = 8, blocks: int = 2, growth: int = 4) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, features, 3, 1, 1)
        self.body = nn.ModuleList(
            nn.Sequential(*(DenseBlock(features, growth) for _ in range(3))) for _ in range(blocks)
        )
        self.conv_body, self.conv_up1, self.conv_up2, self.conv_hr = (
            nn.Conv2d(features, features, 3, 1, 1) for _ in range(4)
        )
        self.conv_last = nn.Conv2d(features, 3, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, 3, h, w] in 0..1 to [n, 3, 4h, 4w], about 0..1."""
        first = self.conv_first(x)
        deep = first
        for block in self.body:
            deep = block(deep) * 0.2 + deep
        deep = first + self.conv_body(deep)
        for conv in (self.conv_up1, self.conv_up2):
            deep = F.leaky_relu(conv(F.interpolate(deep, scale_factor=2.0, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(deep), 0.2))


def make_rrdbnet() -> RRDBNet:
    """Random weights, a tenth as loud, around the identity on channels 0..3: nearest neighbour plus some texture."""
    torch.manual_seed(4)
    net = RRDBNet()
    for conv in (net.conv_first, net.conv_body, net.conv_up1, net.conv_up2, net.conv_hr, net.conv_last):
        conv.weight.data *= 0.1
        conv.bias.data *= 0.1
        if conv is not net.conv_body:
            for channel in range(3):
                conv.weight.data[channel, channel, 1, 1] += 1.0
    return net.eval()


def make_sd15(folder: Path) -> None:
    """Writes a complete diffusers pipeline with SD 1.x's own scheduler entry (PNDM)."""
    tokenizer, vocabulary = make_tokenizer(folder / "tokenizer")
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
        set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1,
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=round_to_half(make_vae()), text_encoder=round_to_half(make_text_encoder(vocabulary)),
        tokenizer=tokenizer, unet=round_to_half(make_unet()), scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def main() -> None:
    """Writes all of them into the folder given."""
    parser = argparse.ArgumentParser(description="Make tiny random-weight models in diffusers' layout.")
    parser.add_argument("out", type=Path, help="folder to write into")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    make_sd15(out / "tiny-sd15")
    round_to_half(make_sdxl_unet()).save_pretrained(out / "tiny-sdxl" / "unet")
    torch.save(make_rrdbnet().state_dict(), out / "tiny-rrdbnet-x4.pt")


if __name__ == "__main__":
    main()
