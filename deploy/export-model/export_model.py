#!/usr/bin/env python3
"""Turns a Stable Diffusion 1.x model into the ONNX folder that `tessera render --model` reads.

    export_model.py SOURCE OUT [--fp16 | --store-fp16] [--lora FILE[:SCALE]]... [--upscaler FILE]...
    export_model.py - OUT --upscaler FILE            only upscalers, also into a folder that exists

SOURCE is a diffusers folder, or a single-file .safetensors checkpoint as model sites offer them. LoRA files are
melted into the weights. Upscalers (ESRGAN and relatives, .pth or .safetensors) become OUT/upscalers/NAME.onnx.

Nothing is downloaded. Each graph is run once and compared with torch. OUT appears whole or not at all.
Exit code 2: the input is unsuitable, and one sentence says why. Installing: setup.sh beside this file.
"""

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from refused import Refused  # noqa: E402  (the line above must come before any import of diffusers)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(
        prog="export_model.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="SOURCE", help="diffusers folder, .safetensors checkpoint, or - for none")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to make")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--fp16", action="store_true", help="networks compute in fp16: for GPUs (slow on CPU)")
    precision.add_argument(
        "--store-fp16",
        action="store_true",
        help="networks compute in fp32 from weights stored as fp16: half the size, full speed on CPU",
    )
    parser.add_argument(
        "--lora", metavar="FILE[:SCALE]", action="append", default=[], help="repeatable; scale 1 if not given"
    )
    parser.add_argument("--upscaler", metavar="FILE", type=Path, action="append", default=[], help="repeatable")
    parser.add_argument(
        "--config",
        metavar="DIR",
        type=Path,
        help="for a checkpoint: diffusers folder with settings and tokenizer (default: those of Stable Diffusion 1.x)",
    )
    return parser.parse_args(argv)


def export(options: argparse.Namespace) -> None:
    """Does what the command line asks."""
    out: Path = options.out
    with_model = options.source != "-"
    if not with_model and not options.upscaler:
        raise Refused("SOURCE is '-', so there is nothing to export: name a model, or an --upscaler")
    if with_model and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"{out}: exists already; name a new folder, or remove it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        made = Path(work) / "out"
        made.mkdir(mode=0o755)
        if with_model:
            export_parts(options, Path(work), made)
        for path in options.upscaler:
            import upscaler

            target, scale, difference = upscaler.write(path, made / "upscalers", options.fp16 or options.store_fp16)
            say(f"upscaler {target.stem}: {scale}x, {size(target)}, differs from torch by {difference:.0e}")
        if with_model:
            if out.is_dir():
                out.rmdir()
            os.replace(made, out)
        else:
            (out / "upscalers").mkdir(parents=True, exist_ok=True)
            for file in (made / "upscalers").iterdir():
                os.replace(file, out / "upscalers" / file.name)
    say(f"wrote {out}; next: tessera model inspect {out}")


def export_parts(options: argparse.Namespace, work: Path, made: Path) -> None:
    """The model itself: load, melt LoRA files in, write settings and graphs into `made`."""
    import layout
    import network
    import source

    say(f"loading {options.source}")
    model = source.load(Path(options.source), options.config, work)
    for text in options.lora:
        import lora

        path, scale = lora.parse(text)
        layers = lora.fuse(model.pipe, path, scale)
        say(f"fused {path.name}: {layers} layers at scale {scale:g}")
    layout.write(model, made)
    precision = "fp16" if options.fp16 else "store-fp16" if options.store_fp16 else "fp32"
    for part in network.networks(model):
        target = made / part.name / "model.onnx"
        difference = network.export(part, target, precision)
        say(f"{part.name}: {precision}, {size(target)}, differs from torch by {difference:.0e} of the largest output")


def size(path: Path) -> str:
    """The graph's size with the weights beside it."""
    return f"{sum(f.stat().st_size for f in path.parent.glob(path.name + '*')) / 1e6:.1f} MB"


def say(text: str) -> None:
    """Progress goes to stderr, line by line."""
    print(f"export-model: {text}", file=sys.stderr, flush=True)


def quiet() -> None:
    """Silences what the libraries say about their own insides; our checks say what matters."""
    import logging

    import diffusers
    import transformers

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def main(argv: list[str] | None = None) -> int:
    """The exit code."""
    options = arguments(argv)
    try:
        quiet()
        export(options)
    except Refused as refused:
        say(str(refused))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
