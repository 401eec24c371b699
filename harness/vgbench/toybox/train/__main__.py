"""``python -m vgbench.toybox.train MODEL -o FOLDER``: train one of Toybox's foundation models."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

# Of each model: what it is, and the folders that its training reads besides its own.
MODELS = {
    "clip": "the Toybox CLIP, in open_clip's format; some 25 minutes on one core",
    "judge": "a supervised network that names what an image shows; some 45 minutes on two cores",
    "vae": "the autoencoder of the diffusion models; half an hour on one core in float32, less in bfloat16",
    "diffusion": "a StableDiffusionPipeline; an hour or more on one core",
}
READS = {"vae": ("judge",), "diffusion": ("clip", "vae", "judge")}
STARTS = ("clip", "vae", "diffusion")  # may begin with the weights of a finished model
PIECES = ("vae", "diffusion")  # go on from where they stopped: the same command again


def main(arguments: list[str] | None = None) -> int:
    """Train a model; numbers of its recipe can be given as options."""
    asked = (sys.argv[1:] if arguments is None else arguments)[:1]
    name = asked[0] if asked and asked[0] in MODELS else None
    parser = argparse.ArgumentParser(prog="python -m vgbench.toybox.train", description=__doc__)
    models = parser.add_subparsers(dest="model", required=True)
    for model, text in MODELS.items():
        command = models.add_parser(model, help=text, description=text)
        if model == name:
            _options(command, model)
    args = parser.parse_args(arguments)
    module = import_module(f"vgbench.toybox.train.{args.model}")
    recipe = module.Recipe(**{field.name: getattr(args, field.name) for field in fields(module.Recipe)})
    more: dict[str, Any] = {folder: getattr(args, folder) for folder in READS.get(args.model, ())}
    if args.model in STARTS:
        more["start"] = args.start
    if args.model in PIECES:
        more["minutes"] = args.minutes
    sys.stdout.write(json.dumps(module.train(args.out, recipe, **more), indent=1) + "\n")
    return 0


def _options(command: argparse.ArgumentParser, model: str) -> None:
    """Add a model's options; its module, which imports torch, is only read for the model that was asked for."""
    command.add_argument("-o", "--out", type=Path, required=True, help="where to write it")
    for folder in READS.get(model, ()):
        command.add_argument(f"--{folder}", type=Path, required=True, help=f"the folder of the trained {folder}")
    if model in STARTS:
        command.add_argument("--start", type=Path, help="go on from the weights in this folder")
    if model in PIECES:
        command.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    for field in fields(import_module(f"vgbench.toybox.train.{model}").Recipe):
        kind = float if isinstance(field.default, float) else int
        name = f"--{field.name.replace('_', '-')}"
        command.add_argument(name, type=kind, default=field.default, help=f"default {field.default}")


if __name__ == "__main__":
    raise SystemExit(main())
