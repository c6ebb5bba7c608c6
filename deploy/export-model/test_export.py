"""Tests of the export tool, on models of a few hundred thousand random weights that are made here.

    python -m pytest deploy/export-model          (in the environment of setup.sh; half a minute)

What an exported graph computes is always compared with torch on the source's own modules.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent))

import clip_vocabulary
import export_model
import network
import tiny

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A tiny Stable Diffusion 1.x model as a diffusers folder."""
    path = tmp_path_factory.mktemp("tiny") / "sd15"
    tiny.model().save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def exported(folder, tmp_path_factory) -> Path:
    """The same, exported in fp32."""
    out = tmp_path_factory.mktemp("onnx") / "sd15"
    assert export(folder, out) == 0
    return out


def export(*arguments) -> int:
    """Runs the tool's main function; argparse's own exit is an exit code here as well."""
    try:
        return export_model.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


def refusal(capsys, *arguments) -> str:
    """The one line that the tool says when it refuses with code 2."""
    capsys.readouterr()
    assert export(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "loading " not in line]
    assert len(lines) == 1, lines
    return lines[0]


def run(path: Path, **inputs) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {n: np.asarray(v) for n, v in inputs.items()})


def unet_inputs(height: int = 24, width: int = 16) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {
        "sample": torch.randn((1, 4, height, width), generator=generator),
        "timestep": torch.tensor(312.5),
        "encoder_hidden_states": torch.randn((1, 77, 32), generator=generator),
    }


@torch.no_grad()
def unet_difference(unet, path: Path) -> float:
    inputs = unet_inputs()
    want = unet(*inputs.values(), return_dict=False)[0].numpy()
    (got,) = run(path / "unet" / "model.onnx", **inputs)
    return float(np.abs(got - want).max())


# === the folder and its graphs ===


@torch.no_grad()
def test_graphs_compute_what_torch_does(exported):
    pipe = tiny.model()
    ids = pipe.tokenizer(["a cat on the moon"], padding="max_length", return_tensors="pt").input_ids
    text = pipe.text_encoder(ids)
    state, pooled = run(exported / "text_encoder" / "model.onnx", input_ids=ids)
    assert np.abs(state - text.last_hidden_state.numpy()).max() < 1e-5
    assert np.abs(pooled - text.pooler_output.numpy()).max() < 1e-5
    assert unet_difference(pipe.unet, exported) < 2e-5
    latent = torch.randn((1, 4, 16, 8), generator=torch.Generator().manual_seed(1))
    image = pipe.vae.decode(latent, return_dict=False)[0]
    (got,) = run(exported / "vae_decoder" / "model.onnx", latent_sample=latent)
    assert np.abs(got - image.numpy()).max() < 1e-4
    picture = image.clamp(-1, 1)
    (got,) = run(exported / "vae_encoder" / "model.onnx", sample=picture)
    assert np.abs(got - pipe.vae.encode(picture).latent_dist.parameters.numpy()).max() < 1e-4


def test_folder_has_the_standard_files_and_no_local_paths(exported, folder):
    files = {str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file()}
    graphs = {
        f"{n}/{f}"
        for n in ("text_encoder", "unet", "vae_encoder", "vae_decoder")
        for f in ("config.json", "model.onnx")
    }
    tokens = {
        f"tokenizer/{n}" for n in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
    }
    assert files == graphs | tokens | {"model_index.json", "scheduler/scheduler_config.json"}
    for path in exported.rglob("*.json"):
        assert str(folder) not in path.read_text()
    assert json.loads((exported / "vae_decoder" / "config.json").read_text())["scaling_factor"] == 0.18215
    assert json.loads((exported / "unet" / "config.json").read_text())["sample_size"] == 64


def test_names_and_types_are_those_of_optimum(exported):
    def ends(name):
        graph = onnx.load(str(exported / name / "model.onnx")).graph
        return {
            v.name: (v.type.tensor_type.elem_type, len(v.type.tensor_type.shape.dim))
            for v in (*graph.input, *graph.output)
        }

    float_, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    assert ends("text_encoder") == {
        "input_ids": (int64, 2),
        "last_hidden_state": (float_, 3),
        "pooler_output": (float_, 2),
    }
    assert ends("unet") == {
        "sample": (float_, 4),
        "timestep": (float_, 0),
        "encoder_hidden_states": (float_, 3),
        "out_sample": (float_, 4),
    }
    assert ends("vae_encoder") == {"sample": (float_, 4), "latent_parameters": (float_, 4)}
    assert ends("vae_decoder") == {"latent_sample": (float_, 4), "sample": (float_, 4)}


def test_the_same_bytes_every_time(exported, folder, tmp_path):
    assert export(folder, tmp_path / "again") == 0
    for path in exported.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(exported)).read_bytes(), path


def test_store_fp16_halves_the_file_and_keeps_fp32_arithmetic(exported, folder, tmp_path):
    pipe = tiny.model()
    pipe.unet.half().float()
    rounded = tmp_path / "rounded"
    shutil.copytree(folder, rounded)
    pipe.unet.save_pretrained(rounded / "unet")
    assert export(rounded, tmp_path / "out", "--store-fp16") == 0
    graph = tmp_path / "out" / "unet" / "model.onnx"
    # Weights that are fp16 numbers come back exactly, so only the usual rounding of fp32 sums remains.
    assert unet_difference(pipe.unet, tmp_path / "out") < 2e-5
    assert graph.stat().st_size < 0.62 * (exported / "unet" / "model.onnx").stat().st_size
    kinds = {v.type.tensor_type.elem_type for v in onnx.load(str(graph)).graph.input}
    assert kinds == {onnx.TensorProto.FLOAT}


def test_fp16_graphs_take_and_give_fp16(folder, tmp_path):
    assert export(folder, tmp_path / "out", "--fp16") == 0
    inputs = {n: v.numpy().astype(np.float16) for n, v in unet_inputs().items()}
    (got,) = run(tmp_path / "out" / "unet" / "model.onnx", **inputs)
    assert got.dtype == np.float16
    with torch.no_grad():
        want = tiny.model().unet(*unet_inputs().values(), return_dict=False)[0].numpy()
    assert np.abs(got.astype(np.float32) - want).max() < 0.02 * np.abs(want).max()


def test_big_weights_go_to_a_file_beside_the_graph(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "EXTERNAL_OVER", 1_000_000)
    assert export(folder, tmp_path / "out") == 0
    unet = tmp_path / "out" / "unet"
    assert (unet / "model.onnx_data").stat().st_size > 6_000_000
    assert (unet / "model.onnx").stat().st_size < 1_000_000
    assert (unet / "model.onnx_data").stat().st_mode == (unet / "model.onnx").stat().st_mode
    assert sorted(p.name for p in unet.iterdir()) == ["config.json", "model.onnx", "model.onnx_data"]
    assert unet_difference(tiny.model().unet, tmp_path / "out") < 2e-5


# === single-file checkpoints ===


def test_checkpoint_gives_the_graphs_of_its_folder(exported, folder, tmp_path):
    checkpoint = tmp_path / "model.safetensors"
    save_file(tiny.checkpoint(tiny.model()), checkpoint)
    assert export(checkpoint, tmp_path / "out", "--config", folder) == 0
    for name in ("text_encoder", "unet", "vae_encoder", "vae_decoder"):
        made, wanted = ((p / name / "model.onnx").read_bytes() for p in (tmp_path / "out", exported))
        assert made == wanted, f"{name} differs from the export of the diffusers folder"


def test_clip_vocabulary_is_the_published_one(tmp_path):
    from transformers import CLIPTokenizer

    clip_vocabulary.write(tmp_path)
    tokenizer = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    # The ids that every description of CLIP's tokenizer shows for this sentence.
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert len(tokenizer) == 49408


def test_a_text_encoder_written_by_transformers_5_keeps_its_weights(exported, folder, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(folder, newer)
    weights = newer / "text_encoder" / "model.safetensors"
    renamed = {name.removeprefix("text_model."): t for name, t in load_file(weights).items()}
    save_file(renamed, weights, metadata={"format": "pt"})
    assert export(newer, tmp_path / "out") == 0
    graphs = [p / "text_encoder" / "model.onnx" for p in (tmp_path / "out", exported)]
    assert graphs[0].read_bytes() == graphs[1].read_bytes()


# === LoRA ===


def fused_by_peft(file: Path, scales: list[float]):
    """A fresh model with the file melted in by diffusers and peft, once for each scale."""
    pipe = tiny.model()
    for scale in scales:
        pipe.load_lora_weights(str(file.parent), weight_name=file.name)
        pipe.fuse_lora(components=["unet", "text_encoder"], lora_scale=scale)
        pipe.unload_lora_weights()
    return pipe


@pytest.mark.parametrize("spelling", ["kohya", "diffusers"])
def test_lora_gives_the_weights_that_peft_gives(folder, tmp_path, spelling):
    file = tmp_path / "style.safetensors"
    save_file(tiny.lora(tiny.model(), spelling, rank=2, alpha=1.0), file)
    assert export(folder, tmp_path / "out", "--lora", f"{file}:0.5") == 0
    pipe = fused_by_peft(file, [0.5])
    assert unet_difference(tiny.model().unet, tmp_path / "out") > 1e-2, "this LoRA changes nothing, so it shows nothing"
    assert unet_difference(pipe.unet, tmp_path / "out") < 2e-5
    ids = torch.arange(77)[None]
    with torch.no_grad():
        want, plain = (p.text_encoder(ids).last_hidden_state.numpy() for p in (pipe, tiny.model()))
    state, _ = run(tmp_path / "out" / "text_encoder" / "model.onnx", input_ids=ids)
    assert np.abs(state - plain).max() > 1e-2
    assert np.abs(state - want).max() < 2e-5


def test_lora_files_add_up(folder, tmp_path):
    file = tmp_path / "style.safetensors"
    save_file(tiny.lora(tiny.model(), "kohya", rank=2, alpha=2.0), file)
    assert export(folder, tmp_path / "out", "--lora", file, "--lora", f"{file}:-0.25") == 0
    assert unet_difference(fused_by_peft(file, [1.0, -0.25]).unet, tmp_path / "out") < 2e-5


def test_lora_of_another_model_is_refused(folder, tmp_path, capsys):
    layers = tiny.lora(tiny.model(), "kohya", rank=2, alpha=1.0)
    foreign = {n.replace("down_blocks_0", "down_blocks_9"): t for n, t in layers.items()}
    save_file(foreign, tmp_path / "a.safetensors")
    assert "layers are not in this model" in refusal(
        capsys, folder, tmp_path / "out", "--lora", tmp_path / "a.safetensors"
    )
    wide = {n: torch.cat([t, t], 1) if "lora_down" in n and "attn2_to_k" in n else t for n, t in layers.items()}
    save_file(wide, tmp_path / "b.safetensors")
    assert "does not fit this model" in refusal(capsys, folder, tmp_path / "out", "--lora", tmp_path / "b.safetensors")
    assert not (tmp_path / "out").exists()


def test_other_adapters_are_refused_by_name(folder, tmp_path, capsys):
    save_file({"lora_unet_x.hada_w1_a": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "LoHa" in refusal(capsys, folder, tmp_path / "out", "--lora", tmp_path / "a.safetensors")
    save_file({"something": torch.zeros(1)}, tmp_path / "b.safetensors")
    assert "no LoRA layers" in refusal(capsys, folder, tmp_path / "out", "--lora", tmp_path / "b.safetensors")
    assert "no such file" in refusal(capsys, folder, tmp_path / "out", "--lora", tmp_path / "c.safetensors:0.5")


# === upscalers ===


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_upscaler_computes_what_torch_does(tmp_path, suffix):
    net = tiny.upscaler()
    file = tmp_path / f"sharp{suffix}"
    torch.save(net.state_dict(), file) if suffix == ".pth" else save_file(net.state_dict(), file)
    assert export("-", tmp_path / "out", "--upscaler", file) == 0
    graph = tmp_path / "out" / "upscalers" / "sharp.onnx"
    for shape in ((1, 3, 32, 48), (2, 3, 37, 20)):
        picture = torch.rand(shape, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            want = net(picture).numpy()
        (got,) = run(graph, input=picture)
        assert got.shape == (shape[0], 3, 4 * shape[2], 4 * shape[3])
        assert np.abs(got - want).max() < 1e-5
    properties = {p.key: p.value for p in onnx.load(str(graph)).metadata_props}
    assert properties == {"architecture": "ESRGAN", "scale": "4"}


def test_upscaler_joins_a_model_that_is_there(exported, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(exported, model)
    torch.save(tiny.upscaler().state_dict(), tmp_path / "sharp.pth")
    assert export("-", model, "--upscaler", tmp_path / "sharp.pth") == 0
    assert (model / "unet" / "model.onnx").is_file() and (model / "upscalers" / "sharp.onnx").is_file()


def test_bad_upscalers_are_refused(tmp_path, capsys):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    assert "not an upscaler of a known" in refusal(capsys, "-", tmp_path / "out", "--upscaler", tmp_path / "other.pth")
    for name in ("cut.pth", "cut.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
        assert "damaged" in refusal(capsys, "-", tmp_path / "out", "--upscaler", tmp_path / name)
    assert "no such upscaler" in refusal(capsys, "-", tmp_path / "out", "--upscaler", tmp_path / "none.pth")
    assert "nothing to export" in refusal(capsys, "-", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# === bad sources ===


def test_absent_and_unknown_sources_are_refused(tmp_path, capsys):
    assert "no such file or folder" in refusal(capsys, tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "model_index.json: no such file" in refusal(capsys, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "old.ckpt").write_bytes(b"x")
    assert "must be a .safetensors file" in refusal(capsys, tmp_path / "old.ckpt", tmp_path / "out")


def test_an_existing_folder_is_not_overwritten(folder, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep")
    assert "exists already" in refusal(capsys, folder, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    ("file", "field", "value", "says"),
    [
        ("model_index.json", "text_encoder_2", ["transformers", "CLIPTextModel"], "Stable Diffusion XL"),
        ("model_index.json", "transformer", ["diffusers", "X"], "transformer"),
        ("unet/config.json", "in_channels", 9, "inpainting"),
        ("unet/config.json", "use_linear_projection", True, "Stable Diffusion 2.x"),
        ("unet/config.json", "time_cond_proj_dim", 16, "latent consistency"),
        ("text_encoder/config.json", "hidden_size", 64, "does not fit"),
    ],
)
def test_other_architectures_are_refused(folder, tmp_path, capsys, file, field, value, says):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    settings = json.loads((other / file).read_text())
    (other / file).write_text(json.dumps(settings | {field: value}))
    assert says in refusal(capsys, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_folders_are_refused(folder, tmp_path, capsys):
    weights = Path("unet", "diffusion_pytorch_model.safetensors")

    def copy(name: str) -> Path:
        shutil.copytree(folder, tmp_path / name)
        return tmp_path / name

    cut = copy("cut")
    (cut / weights).write_bytes((folder / weights).read_bytes()[:-100])
    assert "header promises" in refusal(capsys, cut, tmp_path / "out")
    lacking = copy("lacking")
    tensors = load_file(folder / weights)
    del tensors["conv_out.weight"]
    save_file(tensors, lacking / weights, metadata={"format": "pt"})
    assert "1 weights are missing, such as conv_out.weight" in refusal(capsys, lacking, tmp_path / "out")
    garbled = copy("garbled")
    (garbled / "vae" / "config.json").write_text("{")
    assert "does not load" in refusal(capsys, garbled, tmp_path / "out")
    tokenless = copy("tokenless")
    (tokenless / "tokenizer" / "merges.txt").unlink()
    assert "merges.txt: no such file" in refusal(capsys, tokenless, tmp_path / "out")
    partless = copy("partless")
    shutil.rmtree(partless / "vae")
    assert "vae/ is missing" in refusal(capsys, partless, tmp_path / "out")


def test_unsuitable_checkpoints_are_refused(folder, tmp_path, capsys):
    tensors = tiny.checkpoint(tiny.model())
    file, out = tmp_path / "model.safetensors", tmp_path / "out"

    def says(changed: dict[str, torch.Tensor]) -> str:
        save_file(changed, file)
        return refusal(capsys, file, out, "--config", folder)

    entry = "model.diffusion_model.input_blocks.0.0.weight"
    assert "inpainting" in says(tensors | {entry: torch.zeros(32, 9, 3, 3)})
    assert "Stable Diffusion XL" in says(tensors | {"conditioner.embedders.0.x": torch.zeros(1)})
    assert "a LoRA, not a model" in says({"lora_unet_x.lora_down.weight": torch.zeros(1)})
    assert "has no VAE" in says({n: t for n, t in tensors.items() if not n.startswith("first_stage_model.")})
    assert "not a Stable Diffusion 1.x checkpoint" in says({"x": torch.zeros(1)})
    missing = "model.diffusion_model.out.2.weight"
    assert "some of its weights are missing" in says({n: t for n, t in tensors.items() if n != missing})
    missing = "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.weight"
    assert "such as text_model.encoder.layers.1.mlp.fc1.weight" in says(
        {n: t for n, t in tensors.items() if n != missing}
    )
    save_file(tensors, file)
    assert "takes text of width 32" in refusal(capsys, file, out)  # against the settings of the real model
    assert "--config wants a diffusers folder" in refusal(capsys, file, out, "--config", tmp_path)
    file.write_bytes(file.read_bytes()[:5000])
    assert "cut off" in refusal(capsys, file, out, "--config", folder)
    assert not out.exists()
