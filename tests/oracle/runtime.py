"""Paths of ONNX files in; sessions, text embeddings, guided predictions and diffusers pipelines on them out.

Everything runs on one CPU thread: the order of sums, and so the last bit, is then the same on every run.
"""

import importlib.util
import json
import os
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
# Its telemetry is off where it finds this at its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from transformers import CLIPTokenizer  # noqa: E402

TRAINING = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
}  # fmt: skip
HERE = Path(__file__).resolve().parent
TEST_MODEL = HERE.parent / "models" / "tiny-sd15"
GOLDEN = HERE / "golden"


def options() -> onnxruntime.SessionOptions:
    """One thread of each kind."""
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = 1
    chosen.inter_op_num_threads = 1
    return chosen


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session of one graph on the CPU provider."""
    return onnxruntime.InferenceSession(str(path), options(), providers=["CPUExecutionProvider"])


def k_diffusion() -> tuple[types.ModuleType, types.ModuleType]:
    """k-diffusion's `sampling` and `external` without its training half, which wants packages that we do not."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(importlib.util.find_spec("k_diffusion").submodule_search_locations)
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, rank: x[(...,) + (None,) * (rank - x.ndim)]
    package.utils = utils
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    return importlib.import_module("k_diffusion.sampling"), importlib.import_module("k_diffusion.external")


class Networks:
    """The text encoder, the UNet and the decoder of one ONNX folder."""

    def __init__(self, folder: Path = TEST_MODEL) -> None:
        self.folder = folder
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = session(folder / "text_encoder" / "model.onnx")
        self.unet = session(folder / "unet" / "model.onnx")
        self.vae_decoder = session(folder / "vae_decoder" / "model.onnx")

    def tokens(self, text: str) -> np.ndarray:
        """[1, 77] int64, padded with the end token."""
        encoded = self.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="np")
        return encoded.input_ids.astype(np.int64)

    def embed(self, text: str) -> np.ndarray:
        """[1, 77, width]: the last hidden state, after the final norm."""
        return self.text_encoder.run(None, {"input_ids": self.tokens(text)})[0]

    def decode(self, latent: np.ndarray, scaling_factor: float = 0.18215) -> np.ndarray:
        """[1, 4, h, w] as a sampler leaves it to [1, 3, 8h, 8w], about -1..1."""
        scaled = (latent / np.float32(scaling_factor)).astype(np.float32)
        return self.vae_decoder.run(None, {"latent_sample": scaled})[0]


class Guided:
    """eps(x, t) with classifier-free guidance: uncond + cfg * (cond - uncond), both rows in one call."""

    def __init__(self, networks: Networks, prompt: str, negative: str, cfg: float) -> None:
        self.unet, self.cfg = networks.unet, cfg
        self.text = np.concatenate([networks.embed(negative), networks.embed(prompt)])

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x [1, 4, h, w] as the network wants it, t one timestep, not rounded; [1, 4, h, w]."""
        rows = {
            "sample": x.repeat(2, 1, 1, 1).numpy(), "timestep": np.array(float(t.reshape(-1)[0]), np.float32),
            "encoder_hidden_states": self.text,
        }  # fmt: skip
        uncond, cond = torch.from_numpy(self.unet.run(None, rows)[0]).chunk(2)
        return uncond + self.cfg * (cond - uncond)


def pipeline(cls: type, folder: Path = TEST_MODEL) -> Any:
    """One of Optimum's pipelines, which is diffusers' loop with the networks of an ONNX folder."""
    pipe = cls.from_pretrained(str(folder), session_options=options(), use_io_binding=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def largest_difference(a: Any, b: Any) -> float:
    """max |a - b|."""
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max())


def rounded(value: float) -> float:
    """Three significant digits: enough to read, and the same on every machine."""
    return float(f"{value:.3g}")


def write_golden(name: str, tensors: Mapping[str, Any], facts: Mapping[str, Any], folder: Path = GOLDEN) -> None:
    """NAME.safetensors and, beside it, NAME.json, which says how to make the same tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: np.ascontiguousarray(value) for key, value in sorted(tensors.items())}
    save_file(arrays, folder / f"{name}.safetensors")
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{name}: {(folder / f'{name}.safetensors').stat().st_size:,} bytes, {len(arrays)} tensors")
