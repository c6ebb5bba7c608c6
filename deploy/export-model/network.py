"""One network of the model: goes in a torch module with sample inputs, comes out a checked model.onnx.

Names, axes, operator set and exporter are those of Hugging Face's Optimum, so that its folders and ours read alike.
"""

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from half import store_half
from source import Source

OPSET = 18
EXTERNAL_OVER = 2**31 - 2**25
"""Bytes of weights from which they go to a file beside the graph: a protobuf message holds less than 2 GiB."""
TOLERANCE = {"fp32": 1e-4, "store-fp16": 5e-2, "fp16": 5e-2}
"""Largest difference from torch in fp32, as a share of the largest output; beyond it the export is wrong."""


class Mismatch(Exception):
    """An exported graph computes something else than torch does: a defect of an exporter, not of the input."""


@dataclass
class Network:
    """A module that takes tensors and returns a tuple of them, with the names its graph shall have."""

    name: str
    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]
    input_axes: dict[str, dict[int, str]]
    output_axes: dict[str, dict[int, str]]


class Call(torch.nn.Module):
    """Wraps a function of one module's tensors as a module, which is what the exporter takes."""

    def __init__(self, owner: torch.nn.Module, function):
        super().__init__()
        self.owner, self.function = owner, function

    def forward(self, *tensors):
        """Calls the function with the owner first."""
        return self.function(self.owner, *tensors)


def networks(source: Source) -> Iterator[Network]:
    """The four networks in the order of a render; the pipeline lets go of each one, to save memory."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    text, unet, vae = source.pipe.text_encoder, source.pipe.unet, source.pipe.vae
    source.pipe.text_encoder = source.pipe.unet = source.pipe.vae = None
    # Pixels a latent is wide; the axes' names say it, for readers.
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    channels, width = unet.config.in_channels, unet.config.cross_attention_dim
    ids = torch.randint(text.config.vocab_size, (2, text.config.max_position_embeddings), generator=generator)
    yield Network(
        "text_encoder",
        Call(text, lambda m, ids: (lambda o: (o.last_hidden_state, o.pooler_output))(m(ids))),
        {"input_ids": ids},
        {"input_ids": {0: "batch_size", 1: "sequence_length"}},
        {"last_hidden_state": {0: "batch_size", 1: "sequence_length"}, "pooler_output": {0: "batch_size"}},
    )
    del text
    yield Network(
        "unet",
        Call(unet, lambda m, x, t, text: (m(x, t, text, return_dict=False)[0],)),
        {
            "sample": noise(2, channels, 16, 24),
            "timestep": torch.tensor(601.0),
            "encoder_hidden_states": noise(2, ids.shape[1], width),
        },
        {
            "sample": {0: "batch_size", 2: "height", 3: "width"},
            "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        },
        {"out_sample": {0: "batch_size", 2: "height", 3: "width"}},
    )
    del unet
    # The encoder gets a copy, because `export` may change the precision of what it is given.
    yield Network(
        "vae_encoder",
        Call(copy.deepcopy(vae), lambda m, x: (m.encode(x, return_dict=False)[0].parameters,)),
        {"sample": noise(1, vae.config.in_channels, 64, 96).clamp(-1, 1)},
        {"sample": {0: "batch_size", 2: "sample_height", 3: "sample_width"}},
        {"latent_parameters": {0: "batch_size", 2: f"sample_height / {factor}", 3: f"sample_width / {factor}"}},
    )
    yield Network(
        "vae_decoder",
        Call(vae, lambda m, z: (m.decode(z, return_dict=False)[0],)),
        {"latent_sample": noise(1, vae.config.latent_channels, 8, 12)},
        {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}},
        {"sample": {0: "batch_size", 2: f"latent_height * {factor}", 3: f"latent_width * {factor}"}},
    )


@torch.no_grad()
def export(network: Network, target: Path, precision: str) -> float:
    """Writes `target` (model.onnx, with model.onnx_data beside it when it is big) and runs it.

    `precision` is a key of TOLERANCE. Returns the largest difference from torch in fp32, relative to the
    largest output.
    """
    expected = [t.float().numpy() for t in network.module(*network.inputs.values())]
    inputs = network.inputs
    if precision == "fp16":
        network.module.half()
        inputs = {n: t.half() if t.is_floating_point() else t for n, t in inputs.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        raw = Path(work) / "model.onnx"
        torch.onnx.export(
            network.module,
            tuple(inputs.values()),
            str(raw),
            input_names=list(inputs),
            output_names=list(network.output_axes),
            dynamic_axes=network.input_axes | network.output_axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
        network.module = None
        model = onnx.load(str(raw))
    if precision == "store-fp16":
        store_half(model)
    save(model, target)
    return _difference(network.name, target, inputs, expected, TOLERANCE[precision])


def save(model: onnx.ModelProto, target: Path) -> None:
    """Writes `model` to `target`, with its weights in one file beside it when they are too big for a message."""
    if sum(len(i.raw_data) for i in model.graph.initializer) < EXTERNAL_OVER:
        onnx.save(model, str(target))
        return
    onnx.save(
        model, str(target), save_as_external_data=True, all_tensors_to_one_file=True, location=target.name + "_data"
    )


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
