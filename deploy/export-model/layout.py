"""The files around the graphs: comes out the ONNX folder's settings and tokenizer, the same bytes each time."""

import inspect
import json
import shutil
from pathlib import Path

from transformers import CLIPTextConfig

from source import SD1, Source

TOKENIZER_SETTINGS = ("bos_token", "eos_token", "pad_token", "unk_token", "model_max_length", "do_lower_case")


def write(source: Source, out: Path) -> None:
    """Writes everything but the graphs; call it before `network.networks`, which empties the pipeline."""
    pipe = source.pipe
    settings = {
        "text_encoder": _text_settings(pipe.text_encoder.config),
        "unet": dict(pipe.unet.config),
        "vae_encoder": dict(pipe.vae.config),
        "vae_decoder": dict(pipe.vae.config),
    }
    for name, config in settings.items():
        config = {k: v for k, v in config.items() if k not in ("_name_or_path", "dtype", "torch_dtype")}
        # diffusers keeps the class out of the dictionary in memory, readers look for it in the file.
        classes = {"unet": "UNet2DConditionModel"} | dict.fromkeys(("vae_encoder", "vae_decoder"), "AutoencoderKL")
        if name in classes:
            config["_class_name"] = classes[name]
        _dump(config, out / name / "config.json")
    _dump(source.scheduler, out / "scheduler" / "scheduler_config.json")
    index = json.loads((SD1 / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", source.scheduler.get("_class_name", "PNDMScheduler")]
    _dump(index, out / "model_index.json")
    _tokenizer(source.tokenizer, out / "tokenizer")


def _text_settings(config: CLIPTextConfig) -> dict:
    """The settings of a CLIP text encoder, without the sixty that transformers keeps for every kind of model."""
    own = inspect.signature(CLIPTextConfig.__init__).parameters
    keep = {"architectures", "model_type", *own}
    return {k: v for k, v in config.to_dict().items() if k in keep}


def _tokenizer(source: Path, out: Path) -> None:
    """The two files that define the tokens, and their settings in the spelling that every version reads.

    A `tokenizer.json` is left out on purpose: padding and cutting may be switched on in it, and Optimum writes none.
    """
    out.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(source / name, out / name)
    config = json.loads((SD1 / "tokenizer" / "tokenizer_config.json").read_text())
    given = source / "tokenizer_config.json"
    for key, value in (json.loads(given.read_text(encoding="utf-8")) if given.is_file() else {}).items():
        if key in TOKENIZER_SETTINGS:
            config[key] = value["content"] if isinstance(value, dict) else value
    _dump(config, out / "tokenizer_config.json")
    _dump({k: v for k, v in config.items() if k in TOKENIZER_SETTINGS[:4]}, out / "special_tokens_map.json")


def _dump(value: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
