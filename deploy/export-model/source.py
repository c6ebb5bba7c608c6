"""A Stable Diffusion 1.x model as people have it: goes in a diffusers folder or a single-file checkpoint,
comes out a fp32 pipeline in memory with its tokenizer's files and its scheduler's settings. Never goes online.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

import clip_vocabulary
import weights_file
from refused import Refused, first_line

SD1 = Path(__file__).parent / "sd1"
"""The settings of Stable Diffusion 1.x, which a single-file checkpoint does not carry."""


@dataclass
class Source:
    """A model ready for export; `pipe` holds fp32 modules on the CPU in eval mode."""

    pipe: StableDiffusionPipeline
    tokenizer: Path
    scheduler: dict


def load(path: Path, config: Path | None, work: Path) -> Source:
    """Reads `path`; `work` is an empty folder for what has to be built. `config` is used for single files only."""
    if path.is_dir():
        return _load_folder(path)
    if not path.exists():
        raise Refused(f"{path}: no such file or folder")
    if path.suffix != ".safetensors":
        raise Refused(f"{path}: a checkpoint must be a .safetensors file (a .ckpt can run code; convert it first)")
    if config is None:
        config = work / "sd1"
        shutil.copytree(SD1, config)
        clip_vocabulary.write(config / "tokenizer")
    return _load_checkpoint(path, config)


def _load_folder(path: Path) -> Source:
    index = _json(path / "model_index.json", "a diffusers folder has one; is this the model's top folder?")
    for extra, kind in (("text_encoder_2", "Stable Diffusion XL"), ("transformer", "a transformer model")):
        if extra in index:
            raise Refused(f"{path}: {kind} (it has {extra}); this tool exports Stable Diffusion 1.x")
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        if not (path / part).is_dir():
            raise Refused(f"{path}: the folder {part}/ is missing; this tool wants a whole Stable Diffusion 1.x model")
    _check_settings(path)
    text_encoder = _component(CLIPTextModel, path / "text_encoder", "dtype")
    unet = _component(UNet2DConditionModel, path / "unet", "torch_dtype")
    vae = _component(AutoencoderKL, path / "vae", "torch_dtype")
    return _source(path, text_encoder, unet, vae)


def _load_checkpoint(path: Path, config: Path) -> Source:
    if not (config / "model_index.json").is_file():
        raise Refused(f"{config}: --config wants a diffusers folder (model_index.json is missing)")
    _check_settings(config)
    _check_checkpoint(path, weights_file.shapes(path), _json(config / "unet" / "config.json", "copy it again"))
    try:
        pipe = StableDiffusionPipeline.from_single_file(
            str(path), config=str(config), local_files_only=True, torch_dtype=torch.float32
        )
    except NotImplementedError as error:  # torch's answer to moving a tensor that was never filled
        raise Refused(f"{path}: some of its weights are missing; take the full checkpoint") from error
    except KeyError as error:
        raise Refused(f"{path}: the weight {error} is missing; take the full checkpoint") from error
    except (ValueError, RuntimeError, OSError, TypeError) as error:
        raise Refused(f"{path}: does not load as Stable Diffusion 1.x: {first_line(error)}") from error
    for name, module in (("unet", pipe.unet), ("vae", pipe.vae), ("text_encoder", pipe.text_encoder)):
        absent = [n for n, p in module.named_parameters() if p.is_meta]
        if absent:
            raise Refused(f"{path}: {len(absent)} weights of the {name} are missing, such as {absent[0]}")
    return _source(config, pipe.text_encoder, pipe.unet, pipe.vae)


def _check_checkpoint(path: Path, shapes: dict[str, tuple[int, ...]], unet: dict) -> None:
    """Tells what else a .safetensors file is, by the tensors that other kinds have and this one lacks."""
    if any(".lora_" in n or ".lora." in n for n in shapes):
        raise Refused(f"{path}: a LoRA, not a model; give it with --lora beside the model it was made for")
    if any(n.startswith("conditioner.embedders.") for n in shapes):
        raise Refused(f"{path}: Stable Diffusion XL; this tool exports Stable Diffusion 1.x")
    entry = shapes.get("model.diffusion_model.input_blocks.0.0.weight")
    if entry is None:
        raise Refused(f"{path}: not a Stable Diffusion 1.x checkpoint (it has no model.diffusion_model.input_blocks)")
    if entry[1] != unet["in_channels"]:
        raise Refused(
            f"{path}: its UNet takes {entry[1]} channels, not {unet['in_channels']}: an inpainting or editing model, "
            "which this tool cannot export"
        )
    width = next((s[1] for n, s in shapes.items() if n.endswith("attn2.to_k.weight")), None)
    if width != unet["cross_attention_dim"]:
        raise Refused(
            f"{path}: its UNet takes text of width {width}, where Stable Diffusion 1.x has "
            f"{unet['cross_attention_dim']}; this tool exports Stable Diffusion 1.x"
        )
    for prefix, what in (("first_stage_model.", "VAE"), ("cond_stage_model.transformer.", "text encoder")):
        if not any(n.startswith(prefix) for n in shapes):
            raise Refused(f"{path}: has no {what} (no {prefix}*); take the full checkpoint, not a pruned part")


def _check_settings(path: Path) -> None:
    """Refuses a folder whose settings files describe another architecture."""
    unet = _json(path / "unet" / "config.json", "copy it again")
    text = _json(path / "text_encoder" / "config.json", "copy it again")
    wanted = (
        ("in_channels", 4, "an inpainting or editing model"),
        ("out_channels", 4, "not a latent diffusion model with 4 channels"),
        ("addition_embed_type", None, "Stable Diffusion XL"),
        ("class_embed_type", None, "a model with class labels"),
        ("time_cond_proj_dim", None, "a latent consistency model"),
        ("use_linear_projection", False, "Stable Diffusion 2.x"),
    )
    for field, value, kind in wanted:
        if unet.get(field, value) != value:
            raise Refused(
                f"{path}/unet/config.json: {field} is {unet[field]} ({kind}); this tool exports Stable Diffusion 1.x"
            )
    if text.get("hidden_size") != unet.get("cross_attention_dim"):
        raise Refused(
            f"{path}: text_encoder's hidden_size {text.get('hidden_size')} does not fit the UNet's "
            f"cross_attention_dim {unet.get('cross_attention_dim')}"
        )


def _component(cls, folder: Path, dtype: str):
    """One network with every weight accounted for. `dtype` is the keyword its library calls the number type by."""
    arguments = {dtype: torch.float32, "local_files_only": True, "output_loading_info": True}
    if any(folder.glob("*.fp16.safetensors")) and not any(folder.glob("*[!6].safetensors")):
        arguments["variant"] = "fp16"
    for file in sorted(folder.glob("*.safetensors")):
        names = weights_file.shapes(file)
        # transformers 5 writes CLIP without this prefix; version 4 would leave such a model at random weights.
        if cls is CLIPTextModel and "embeddings.token_embedding.weight" in names:
            arguments["key_mapping"] = {"^": "text_model."}
    try:
        model, info = cls.from_pretrained(str(folder), **arguments)
    except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
        raise Refused(f"{folder}: does not load: {first_line(error)}") from error
    if missing := sorted(info["missing_keys"]):
        raise Refused(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")
    return model.eval()


def _source(folder: Path, text_encoder, unet, vae) -> Source:
    """Puts the parts together. The scheduler object only satisfies the pipeline; its settings file is passed on."""
    tokenizer = folder / "tokenizer"
    for name in ("vocab.json", "merges.txt"):
        if not (tokenizer / name).is_file():
            raise Refused(f"{tokenizer}/{name}: no such file; CLIP's tokenizer needs it")
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        unet=unet,
        tokenizer=CLIPTokenizer(str(tokenizer / "vocab.json"), str(tokenizer / "merges.txt"), model_max_length=77),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    scheduler = _json(folder / "scheduler" / "scheduler_config.json", "copy it again")
    return Source(pipe, tokenizer, scheduler)


def _json(path: Path, advice: str) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{path}: no such file; {advice}") from None
    except ValueError as error:
        raise Refused(f"{path}: damaged JSON: {first_line(error)}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path}: holds no JSON object; {advice}")
    return found
