"""Prompt strategies for generators that do more than fill in a class's name, and those of negative prompts.

A part of kind ``prompts`` with an ``entry`` is a function that runs in a worker (vgbench.steps.prompt); third parties
add theirs in the same way. Parts with ``templates`` lie with the data sets they were written for. A part of kind
``negatives`` says what no image should show: ``text``, after the names of the other classes where ``others`` is true.
"""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import Part, WeightsSpec, hookimpl

RESTRICTION = ",highly detailed,hires,8k,sharp focus"  # GenBench generation_utils.py, `sharp_focus` (protocols §1.3)
# GenBench generation_utils.py, `sampling_images` with `neg_prompts` (Luodian/GenBench, commit ab705b9), comma and all.
FAULTS = (
    "((disfigured)), ((bad art)), ((deformed)), ((poorly drawn)), ((extra limbs)), ((close up)), ((b&w)), "
    "weird colors, blurry, lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, fewer digits, "
    "cropped, worst quality, low quality, normal quality, jpeg artefacts, signature, watermark, username, blurry, "
    "out of focus, censorship,"
)
KEYTOTEXT = "keytotext"
# The repository's only tokenizer is a SentencePiece model; transformers reads it by protobuf, and without it
# takes it for tiktoken's.
_T5 = ("torch", "transformers", "safetensors", "sentencepiece", "google.protobuf")
_WRITE = "vgbench_plugins.prompts.write"


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    summary = "the class name, 'highly detailed, … sharp focus' (GenBench's restrictive description)"
    yield Part("prompts", "restrictive", "1", values={"templates": ["{}" + RESTRICTION]}, summary=summary)
    summary = "NAME, DEFINITION, as the class list defines it (Sariyildiz et al. 2023)"
    yield Part("prompts", "definition", "1", f"{_WRITE}:definition", {"uses": ["name", "definition"]}, summary)
    summary = "NAME, what it is a kind of, from WordNet 3.0 (Sariyildiz et al. 2023)"
    values = {"uses": ["name", "id"], "places": ["wordnet"]}
    yield Part("prompts", "hypernym", "1", f"{_WRITE}:hypernym", values, summary)
    for name, template, summary in (
        ("category-enhanced", "{}", "sentences that a T5 makes of the class name (GenBench's category enhancement)"),
        ("sentence-expansion", "A photo of a {}.", "sentences that a T5 makes of 'A photo of a NAME.' (GenBench)"),
    ):
        sampled = {"uses": ["name"], "template": template, "weights": KEYTOTEXT}
        yield Part("prompts", name, "1", f"{_WRITE}:sentences", sampled, summary, needs=_T5)
    summary = "the names of the other classes, then 28 faults of images (GenBench's negative prompt)"
    yield Part("negatives", "genbench", "1", values={"others": True, "text": FAULTS}, summary=summary)


@hookimpl
def vgbench_offer_weights() -> Iterable[WeightsSpec]:
    yield WeightsSpec(
        KEYTOTEXT,
        "T5-base fine-tuned on CommonGen: words to a sentence",
        "hf://models/mrm8488/t5-base-finetuned-common_gen",
        None,
        "unknown",
        "Lin et al., CommonGen, Findings of EMNLP 2020; GenBench, arXiv 2307.13697",
    )
