"""An upscaling network: goes in an ESRGAN-type .pth or .safetensors file, comes out one ONNX graph.

`spandrel` recognises the architecture from the weights and reads .pth files without running code in them.
The graph takes `input` and gives `output`, both FLOAT [batch_size, 3, height, width], RGB in 0..1; the factor is in
the output's axis names and in the graph's metadata as `scale`.
"""

import pickle
from pathlib import Path

import onnx
import torch
from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

from network import Network, export, save
from refused import Refused, first_line


def load(path: Path) -> ImageModelDescriptor:
    """Reads the file; refused unless it holds an RGB upscaler."""
    if not path.is_file():
        raise Refused(f"{path}: no such upscaler file")
    try:
        model = ModelLoader().load_from_file(path)
    except UnsupportedModelError:
        raise Refused(f"{path}: not an upscaler of a known architecture") from None
    except (RuntimeError, ValueError, OSError, EOFError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        raise Refused(f"{path}: damaged, or not an upscaler: {first_line(error)}") from error
    except Exception as error:  # safetensors raises a class of its own that derives from Exception alone
        if type(error).__name__ != "SafetensorError":
            raise
        raise Refused(f"{path}: damaged: {first_line(error)}") from error
    if not isinstance(model, ImageModelDescriptor) or (model.input_channels, model.output_channels) != (3, 3):
        raise Refused(f"{path}: not an RGB image upscaler")
    return model.eval()


def write(path: Path, folder: Path, half_weights: bool) -> tuple[Path, int, float]:
    """Exports the file at `path` to `folder`/NAME.onnx; returns the file, its factor and the check's difference."""
    descriptor = load(path)
    scale = descriptor.scale
    multiple = max(16, descriptor.size_requirements.multiple_of)
    rgb = torch.rand((1, 3, multiple, 2 * multiple), generator=torch.Generator().manual_seed(0))
    network = Network(
        path.stem,
        descriptor.model,
        lambda module, picture: (type(module).forward(module, picture),),
        {"input": rgb},
        {"input": {0: "batch_size", 2: "height", 3: "width"}},
        {"output": {0: "batch_size", 2: f"height * {scale}", 3: f"width * {scale}"}},
    )
    target = folder / f"{path.stem}.onnx"
    difference = export(network, target, "store-fp16" if half_weights else "fp32")
    model = onnx.load(str(target))
    onnx.helper.set_model_props(model, {"scale": str(scale), "architecture": descriptor.architecture.name})
    save(model, target)
    return target, scale, difference
