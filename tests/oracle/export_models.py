#!/usr/bin/env python3
"""The models of tiny_models.py in, the ONNX folders that the Rust tests read out.

    python export_models.py MODELS OUT

    OUT/tiny-sd15/             a whole folder as Optimum exports it, weights stored as halves, and one upscaler
    OUT/tiny-sdxl/unet/        for the attention rewriting alone
    OUT/tiny-sd15-external/unet/   the same UNet with its weights beside the graph, as files over 2 GB have them

Every graph is compared with torch; a difference over 1e-4 ends the run.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from half_weights import halve
from onnx import numpy_helper
from optimum.exporters.onnx import main_export
from runtime import session
from tiny_models import SAMPLE_SIZE, TEXT_WIDTH, RRDBNet

PARTS = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
TOLERANCE = 1e-4


def export_sd15(source: Path, target: Path) -> None:
    """Optimum's own export of a diffusers folder, then halves."""
    main_export(
        str(source), str(target), task="text-to-image", library_name="diffusers", device="cpu", do_validation=False
    )  # fmt: skip
    for part in PARTS:
        store_halved(target / part / "model.onnx", target / part / "model.onnx")
    for config in target.rglob("*.json"):
        forget_source(config)


def forget_source(config: Path) -> None:
    """Drops the path that the model was read from, which differs from machine to machine."""
    entries = json.loads(config.read_text(encoding="utf-8"))
    if entries.pop("_name_or_path", None) is not None:
        config.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def store_halved(source: Path, target: Path) -> None:
    """Rewrites one graph with halved weights and without the exporter's shape notes, which cost more than they tell."""
    model = onnx.load(source)
    halve(model)
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, target)


class SdxlUnet(torch.nn.Module):
    """SDXL's UNet with its inputs in a row, named and ordered as Optimum's export has them."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):  # noqa: ANN001, ANN201
        """[b,4,h,w], scalar, [b,s,c], [b,p], [b,6] to [b,4,h,w]."""
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.unet(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]


def export_sdxl_unet(source: Path, target: Path) -> None:
    """The UNet alone: the fusion test needs neither the text encoders nor the VAE."""
    unet = UNet2DConditionModel.from_pretrained(source)
    target.mkdir(parents=True, exist_ok=True)
    inputs = {
        "sample": torch.randn(2, 4, 32, 32), "timestep": torch.tensor(501.0),
        "encoder_hidden_states": torch.randn(2, 77, 2 * TEXT_WIDTH), "text_embeds": torch.randn(2, TEXT_WIDTH),
        "time_ids": torch.tensor([[256.0, 256, 0, 0, 256, 256]] * 2),
    }  # fmt: skip
    picture = {0: "batch_size", 2: "height", 3: "width"}
    axes = {
        "sample": picture, "out_sample": picture, "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        "text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"},
    }  # fmt: skip
    path = target / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(
            SdxlUnet(unet).eval(), tuple(inputs.values()), str(path), input_names=list(inputs),
            output_names=["out_sample"], dynamic_axes=axes, opset_version=18, dynamo=False,
        )  # fmt: skip
        expected = SdxlUnet(unet)(*inputs.values())
    store_halved(path, path)
    unet.save_config(target)
    forget_source(target / "config.json")
    compare("SDXL UNet", expected, run(path, **inputs))


def export_upscaler(source: Path, target: Path) -> None:
    """The ESRGAN-type network, float32, sides free."""
    net = RRDBNet().eval()
    net.load_state_dict(torch.load(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    picture = torch.rand(1, 3, 24, 40)
    with torch.no_grad():
        torch.onnx.export(
            net, (picture,), str(target), input_names=["input"], output_names=["output"], opset_version=18,
            dynamic_axes={
                "input": {0: "batch_size", 2: "height", 3: "width"},
                "output": {0: "batch_size", 2: "height * 4", 3: "width * 4"},
            },
            dynamo=False,
        )  # fmt: skip
        compare("upscaler", net(picture), run(target, input=picture))


def externalise(source: Path, target: Path) -> None:
    """Moves the larger tensors of a graph into model.onnx_data beside it."""
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(
        onnx.load(source / "model.onnx"), target / "model.onnx", save_as_external_data=True,
        all_tensors_to_one_file=True, location="model.onnx_data", size_threshold=256,
    )  # fmt: skip
    shutil.copy(source / "config.json", target / "config.json")
    graph = onnx.load(target / "model.onnx", load_external_data=False).graph
    outside = sum(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer)
    print(f"external data: {outside} of {len(graph.initializer)} tensors")
    before, after = onnx.load(source / "model.onnx").graph, onnx.load(target / "model.onnx").graph
    for old, new in zip(before.initializer, after.initializer, strict=True):
        if not np.array_equal(numpy_helper.to_array(old), numpy_helper.to_array(new)):
            raise SystemExit(f"external data: {old.name} was changed")


def run(path: Path, **inputs: torch.Tensor) -> np.ndarray:
    """The first output of a graph."""
    return session(path).run(None, {name: value.numpy() for name, value in inputs.items()})[0]


def compare(what: str, expected: torch.Tensor, got: np.ndarray) -> None:
    """Prints the largest difference and ends the run if it is over TOLERANCE."""
    difference = float(np.abs(expected.numpy() - got).max())
    print(f"{what}: |torch - onnxruntime| <= {difference:.3g}, values within {float(expected.abs().max()):.3g}")
    if not difference < TOLERANCE:
        raise SystemExit(f"{what}: the exported graph differs from torch by {difference}")


@torch.no_grad()
def check_sd15(source: Path, folder: Path) -> None:
    """Runs every part of the exported folder against the torch one."""
    pipe = StableDiffusionPipeline.from_pretrained(source, safety_checker=None)
    generator = torch.Generator().manual_seed(0)
    ids = pipe.tokenizer("a photo of a cat", padding="max_length", return_tensors="pt").input_ids
    embeds = pipe.text_encoder(ids).last_hidden_state
    compare("text encoder", embeds, run(folder / "text_encoder/model.onnx", input_ids=ids))
    for height, width in ((SAMPLE_SIZE, SAMPLE_SIZE), (24, 40)):
        latent = torch.randn(1, 4, height, width, generator=generator)
        time = torch.tensor(501.25)
        predicted = run(folder / "unet/model.onnx", sample=latent, timestep=time, encoder_hidden_states=embeds)
        compare(f"UNet {height}x{width}", pipe.unet(latent, time, embeds).sample, predicted)
        picture = torch.rand(1, 3, 8 * height, 8 * width, generator=generator) * 2 - 1
        moments = pipe.vae.encode(picture).latent_dist.parameters
        compare(f"encoder {height}x{width}", moments, run(folder / "vae_encoder/model.onnx", sample=picture))
        decoded = pipe.vae.decode(latent).sample
        compare(f"decoder {height}x{width}", decoded, run(folder / "vae_decoder/model.onnx", latent_sample=latent))


def main() -> None:
    """Exports and checks everything."""
    parser = argparse.ArgumentParser(description="Export the tiny models to ONNX.")
    parser.add_argument("models", type=Path, help="folder that tiny_models.py wrote")
    parser.add_argument("out", type=Path, help="folder for the ONNX models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sd15 = args.out / "tiny-sd15"
    export_sd15(args.models / "tiny-sd15", sd15)
    export_upscaler(args.models / "tiny-rrdbnet-x4.pt", sd15 / "upscalers" / "tiny-rrdbnet-x4.onnx")
    export_sdxl_unet(args.models / "tiny-sdxl" / "unet", args.out / "tiny-sdxl" / "unet")
    externalise(sd15 / "unet", args.out / "tiny-sd15-external" / "unet")
    check_sd15(args.models / "tiny-sd15", sd15)


if __name__ == "__main__":
    main()
