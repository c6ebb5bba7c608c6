"""The diffusers folder back from an ONNX folder: to train on from the weights at hand, or to run torch beside Tessera.

    python restore.py deploy/models/demo WEIGHTS
    torchrun --nproc_per_node 2 train_unet.py DATA WEIGHTS/vae MODEL --init WEIGHTS

An exported graph keeps the names of convolutions and norms; a linear layer's matrix is found by the name of the node
that multiplies by it, a group norm's scale and shift by the nodes that apply them. Every weight of every network must
be found, and each network is run beside its graph.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnx import numpy_helper
from transformers import CLIPTextConfig, CLIPTextModel


def weights_of(path):
    """{name in torch: tensor} of a graph."""
    graph = onnx.load(path).graph
    stored = {i.name.removesuffix("_fp16"): numpy_helper.to_array(i).astype(np.float32) for i in graph.initializer}
    out = {name: a for name, a in stored.items() if name.endswith((".weight", ".bias"))}
    for node in graph.node:
        part, _, kind = node.name.rpartition("/")
        name = part.strip("/").replace("/", ".")
        for given in node.input:
            if not given.startswith("onnx::"):
                continue
            if kind == "MatMul" and stored[given].ndim == 2:
                out[f"{name}.weight"] = stored[given].T
            elif kind in ("Mul", "Add") and "norm" in name.rpartition(".")[2]:
                out[f"{name}.{'weight' if kind == 'Mul' else 'bias'}"] = stored[given].reshape(-1)
    return {name: torch.from_numpy(np.array(a)) for name, a in out.items()}


def load(network, weights, path):
    """Gives a network all its weights; anything missing or left over is an error."""
    free = set(network.state_dict()) - set(weights)
    free -= {"text_model.embeddings.position_ids"}
    if free:
        sys.exit(f"{path}: no weights for {', '.join(sorted(free)[:4])}")
    network.load_state_dict(weights)
    return network.eval()


@torch.no_grad()
def compare(path, expected, **inputs):
    """Stops unless a graph gives what torch gave."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}
    given = {i.name: inputs[i.name].numpy().astype(kinds[i.type]) for i in session.get_inputs()}
    made = session.run(None, given)[0]
    apart = np.abs(made - expected.numpy()).max() / np.abs(made).max()
    print(f"{path}: torch and ONNX Runtime differ by {apart:.0e} of the largest output")
    if not apart < 1e-4:
        sys.exit(f"{path}: these are not the same weights")


@torch.no_grad()
def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model", type=Path)
    p.add_argument("out", type=Path)
    a = p.parse_args()
    torch.manual_seed(0)

    def config(part):
        return json.loads((a.model / part / "config.json").read_text())

    path = a.model / "text_encoder/model.onnx"
    text = load(CLIPTextModel(CLIPTextConfig(**config("text_encoder"))), weights_of(path), path)
    ids = torch.randint(0, text.config.vocab_size, (2, 77))
    hidden = text(ids).last_hidden_state
    compare(path, hidden, input_ids=ids)

    path = a.model / "unet/model.onnx"
    unet = load(UNet2DConditionModel.from_config(config("unet")), weights_of(path), path)
    x, t = torch.randn(2, 4, 16, 24), torch.tensor(500)
    compare(path, unet(x, t, hidden).sample, sample=x, timestep=t, encoder_hidden_states=hidden)

    halves = [a.model / f"vae_{half}/model.onnx" for half in ("encoder", "decoder")]
    vae = AutoencoderKL.from_config(config("vae_decoder"))
    load(vae, weights_of(halves[0]) | weights_of(halves[1]), halves[0])
    x, z = torch.rand(1, 3, 64, 96) * 2 - 1, torch.randn(1, 4, 8, 12)
    compare(halves[1], vae.decode(z).sample, latent_sample=z)
    compare(halves[0], vae.encode(x).latent_dist.parameters, sample=x)

    for name, network in (("text_encoder", text), ("unet", unet), ("vae", vae)):
        network.save_pretrained(a.out / name)
    for name in ("tokenizer", "scheduler"):
        shutil.copytree(a.model / name, a.out / name, dirs_exist_ok=True)
    shutil.copy(a.model / "model_index.json", a.out)
    print(f"wrote {a.out}")


if __name__ == "__main__":
    main()
