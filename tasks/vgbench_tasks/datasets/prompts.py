"""Prompt templates: the text that names a class to a text encoder or a generator, one ``{}`` for the class name.

``genbench/SET`` are the templates of GenBench's released code for that data set (Luodian/GenBench ab705b9,
``vision_benchmark/datasets/prompts.py``): CLIP's own, but for GTSRB, MNIST and VOC, which GenBench rewrote.
``clip-templates`` is CLIP's ensemble of 80 (open_clip 3.3.0, OPENAI_IMAGENET_TEMPLATES).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from vgbench import Part, hookimpl

SUMMARIES = {
    "name": "the class name alone",
    "simple": "A photo of a {}.",
    "photo": "a photo of a {}.",
    "clip-templates": "CLIP's ensemble for ImageNet",
}


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    templates: dict[str, list[str]] = json.loads(Path(__file__).with_name("prompts.json").read_text())
    for name, texts in templates.items():
        summary = SUMMARIES.get(name) or f"GenBench's templates for {name.removeprefix('genbench/')}"
        yield Part("prompts", name, "1", values={"templates": texts}, summary=summary)
