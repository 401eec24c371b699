"""``python -m vgbench.toybox.train clip -o FOLDER``: train one of Toybox's foundation models."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Train a model; numbers of its recipe can be given as options."""
    from vgbench.toybox.train.clip import Recipe, train

    parser = argparse.ArgumentParser(prog="python -m vgbench.toybox.train", description=__doc__)
    models = parser.add_subparsers(dest="model", required=True)
    clip = models.add_parser("clip", help="the Toybox CLIP, in open_clip's format; some 25 minutes on one core")
    clip.add_argument("-o", "--out", type=Path, required=True, help="where to write it")
    clip.add_argument("--start", type=Path, help="go on from the weights in this folder")
    for field in fields(Recipe):
        kind = float if isinstance(field.default, float) else int
        clip.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=f"default {field.default}"
        )
    args = parser.parse_args(arguments)
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    sys.stdout.write(json.dumps(train(args.out, recipe, start=args.start), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
