"""One network of the model: goes in a torch module with sample inputs, comes out a checked model.onnx.

Names, axes, operator set and exporter are those of Hugging Face's Optimum, so that its folders and ours read alike.
"""

import copy
import functools
import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
# Its telemetry is off where it finds this at its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402
import torch  # noqa: E402

from half import store_half  # noqa: E402
from source import Source  # noqa: E402

OPSET = 18
EXTERNAL_OVER = 2**31 - 2**25
"""Bytes of weights from which they go to a file beside the graph: a protobuf message holds less than 2 GiB."""
TOLERANCE = {"fp32": 1e-4, "store-fp16": 5e-2, "fp16": 5e-2}
"""Largest difference from torch in fp32, as a share of the largest output; beyond it the export is wrong."""


class Mismatch(Exception):
    """An exported graph computes something else than torch does: a defect of an exporter, not of the input."""


@dataclass
class Network:
    """A module, what to compute with it (module and tensors in, a tuple of tensors out), and the names of its graph."""

    name: str
    module: torch.nn.Module
    function: Callable[..., tuple[torch.Tensor, ...]]
    inputs: dict[str, torch.Tensor]
    input_axes: dict[str, dict[int, str]]
    output_axes: dict[str, dict[int, str]]


def embed(module: torch.nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The text encoder's two outputs."""
    output = type(module).forward(module, ids)
    return output.last_hidden_state, output.pooler_output


def predict(module: torch.nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The UNet's output."""
    return type(module).forward(module, *inputs, return_dict=False)


def encode(module: torch.nn.Module, picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Mean and log-variance, one above the other."""
    return (module.encode(picture, return_dict=False)[0].parameters,)


def decode(module: torch.nn.Module, latent: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The picture, about -1..1."""
    return module.decode(latent, return_dict=False)


def networks(source: Source) -> Iterator[Network]:
    """The four networks in the order of a render. The pipeline is emptied, and each one forgotten once it is given."""
    pipe = source.pipe
    text, unet, vae = pipe.text_encoder, pipe.unet, pipe.vae
    pipe.text_encoder = pipe.unet = pipe.vae = None
    words = text.config.max_position_embeddings
    part = text_encoder(text)
    del text
    yield part
    part = noise_predictor(unet, words)
    del unet
    yield part
    # The encoder gets a copy, because `export` may change the precision of what it is given.
    part = vae_encoder(copy.deepcopy(vae))
    yield part
    part = vae_decoder(vae)
    del vae
    yield part


def text_encoder(module: torch.nn.Module) -> Network:
    """Token numbers to the embedding of each token."""
    shape = (2, module.config.max_position_embeddings)
    return Network(
        "text_encoder",
        module,
        embed,
        {"input_ids": torch.randint(module.config.vocab_size, shape, generator=torch.Generator().manual_seed(0))},
        {"input_ids": {0: "batch_size", 1: "sequence_length"}},
        {"last_hidden_state": {0: "batch_size", 1: "sequence_length"}, "pooler_output": {0: "batch_size"}},
    )


def noise_predictor(module: torch.nn.Module, words: int) -> Network:
    """A noisy latent, its timestep and `words` embeddings to the prediction."""
    return Network(
        "unet",
        module,
        predict,
        {
            "sample": noise(2, module.config.in_channels, 16, 24),
            "timestep": torch.tensor(601.0),
            "encoder_hidden_states": noise(2, words, module.config.cross_attention_dim),
        },
        {
            "sample": {0: "batch_size", 2: "height", 3: "width"},
            "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        },
        {"out_sample": {0: "batch_size", 2: "height", 3: "width"}},
    )


def vae_encoder(module: torch.nn.Module) -> Network:
    """A picture in -1..1 to the distribution of its latent."""
    factor = latent_pixels(module)
    return Network(
        "vae_encoder",
        module,
        encode,
        {"sample": noise(1, module.config.in_channels, 64, 96).clamp(-1, 1)},
        {"sample": {0: "batch_size", 2: "sample_height", 3: "sample_width"}},
        {"latent_parameters": {0: "batch_size", 2: f"sample_height / {factor}", 3: f"sample_width / {factor}"}},
    )


def vae_decoder(module: torch.nn.Module) -> Network:
    """A latent, divided by the scaling factor, to its picture."""
    factor = latent_pixels(module)
    return Network(
        "vae_decoder",
        module,
        decode,
        {"latent_sample": noise(1, module.config.latent_channels, 8, 12)},
        {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        {"sample": {0: "batch_size", 2: f"latent_height * {factor}", 3: f"latent_width * {factor}"}},
    )


def noise(*shape: int) -> torch.Tensor:
    """Sample input, the same at each call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def latent_pixels(vae: torch.nn.Module) -> int:
    """Pixels across one latent."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


@torch.no_grad()
def export(network: Network, target: Path, precision: str) -> float:
    """Writes `target` (model.onnx, with model.onnx_data beside it when it is big) and runs it.

    `precision` is a key of TOLERANCE. Returns the largest difference from torch in fp32, relative to the
    largest output.
    """
    module, inputs = network.module, network.inputs
    # In place of the module's own forward, and not in a module around it: names in the graph stay as they are.
    module.forward = functools.partial(network.function, module)
    expected = [t.float().numpy() for t in module(*inputs.values())]
    if precision == "fp16":
        module.half()
        inputs = {n: t.half() if t.is_floating_point() else t for n, t in inputs.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        raw = Path(work) / "model.onnx"
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(raw),
            input_names=list(inputs),
            output_names=list(network.output_axes),
            dynamic_axes=network.input_axes | network.output_axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
        network.module = module = None  # gone before the graph is loaded: a real UNet is 3.4 GB
        gc.collect()
        model = onnx.load(str(raw))
    if precision == "store-fp16":
        store_half(model)
    save(model, target)
    del model
    return _difference(network.name, target, inputs, expected, TOLERANCE[precision])


def save(model: onnx.ModelProto, target: Path) -> None:
    """Writes `model` to `target`, with its weights in one file beside it when they are too big for a message."""
    if sum(len(i.raw_data) for i in model.graph.initializer) < EXTERNAL_OVER:
        onnx.save(model, str(target))
        return
    data = target.with_name(target.name + "_data")
    onnx.save(model, str(target), save_as_external_data=True, all_tensors_to_one_file=True, location=data.name)
    data.chmod(target.stat().st_mode)  # it is made readable by its owner alone


def _difference(name: str, path: Path, inputs: dict[str, torch.Tensor], expected: list, limit: float) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {n: t.numpy() for n, t in inputs.items()}
    found = session.run(None, feeds)
    worst = 0.0
    for got, want in zip(found, expected, strict=True):
        worst = max(worst, float(np.abs(got.astype(np.float32) - want).max() / np.abs(want).max()))
    if not worst <= limit:  # also when it is not a number
        raise Mismatch(f"{name}: the exported graph differs from torch by {worst:.1e} of its output, over {limit:.0e}")
    return worst
