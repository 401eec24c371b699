"""Encoders: networks with published weights, the Toybox CLIP, and any checkpoint of yours.

``encoder=NAME`` names a declared one; ``encoder=open_clip:FOLDER``, ``transformers:FOLDER``, ``timm:ARCH@FILE`` one of
your own. Preprocessing belongs to the weights and is read from beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vgbench import Part, WeightsSpec, hookimpl, stages

OPEN_CLIP = (*stages.TORCH, "open_clip", "transformers")
TRANSFORMERS = (*stages.TORCH, "transformers")
SIGLIP = (*TRANSFORMERS, "sentencepiece", "google.protobuf")  # its tokenizer is a SentencePiece model in protobuf

_OPEN_CLIP = "vgbench_tasks.encoders.open_clip:build"
_TRANSFORMERS = "vgbench_tasks.encoders.transformers:build"
_TIMM = "vgbench_tasks.encoders.timm:build"

# Name: builder, values, repository, licence. No commit of the Hub has been observed here, so none is pinned: until
# `vgbench data fetch` observes one, cells that need it are blocked. open_clip's table of pretrained tags says where
# each tag lies (open_clip 3.3, pretrained.py); OpenAI's weights were trained with QuickGELU.
_PUBLISHED: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "openai/vit-b-32": (
        _OPEN_CLIP,
        {"arch": "ViT-B-32-quickgelu", "pretrained": "openai"},
        "timm/vit_base_patch32_clip_224.openai",
        "MIT",
        "CLIP ViT-B/32, 512 numbers: GenBench's encoder",
    ),
    "openai/vit-b-16": (
        _OPEN_CLIP,
        {"arch": "ViT-B-16-quickgelu", "pretrained": "openai"},
        "timm/vit_base_patch16_clip_224.openai",
        "MIT",
        "CLIP ViT-B/16, 512 numbers",
    ),
    "openai/vit-l-14": (
        _OPEN_CLIP,
        {"arch": "ViT-L-14-quickgelu", "pretrained": "openai"},
        "timm/vit_large_patch14_clip_224.openai",
        "MIT",
        "CLIP ViT-L/14, 768 numbers",
    ),
    "laion2b/vit-b-32": (
        _OPEN_CLIP,
        {"arch": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "MIT",
        "OpenCLIP ViT-B/32 on LAION-2B, 512 numbers",
    ),
    "siglip/vit-b-16": (
        _TRANSFORMERS,
        {},
        "google/siglip-base-patch16-224",
        "Apache-2.0",
        "SigLIP ViT-B/16, 768 numbers",
    ),
    "dinov2/vit-b-14": (
        _TRANSFORMERS,
        {"text": False},
        "facebook/dinov2-base",
        "Apache-2.0",
        "DINOv2 ViT-B/14, 768 numbers, no text tower",
    ),
}
_CITATIONS = {
    "openai": "Radford et al., Learning transferable visual models from natural language supervision, ICML 2021",
    "laion2b": "Cherti et al., Reproducible scaling laws for contrastive language-image learning, CVPR 2023",
    "siglip": "Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023",
    "dinov2": "Oquab et al., DINOv2: learning robust visual features without supervision, TMLR 2024",
}
TOYBOX = "toybox-clip"
CLIP_SHA256 = "b853c76eec817f6e94c09d10c7a9ca9323c18cf4402719fbb211dca649ef227d"  # of the folder: what training wrote


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    for name, (entry, values, _, _, summary) in _PUBLISHED.items():
        needs = OPEN_CLIP if entry == _OPEN_CLIP else SIGLIP if name.startswith("siglip/") else TRANSFORMERS
        yield Part("encoder", name, "1", entry, {"weights": name, **values}, summary=summary, needs=needs)
    summary = "the embedded world's CLIP, 64 px; offline"
    yield Part("encoder", TOYBOX, "1", _OPEN_CLIP, {"weights": TOYBOX}, summary=summary, needs=OPEN_CLIP)
    # Yours: `form` says how the option is written.
    own: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        (_OPEN_CLIP, "open_clip:FOLDER or open_clip:ARCH/PRETRAINED@FILE", OPEN_CLIP),
        (_TRANSFORMERS, "transformers:FOLDER", TRANSFORMERS),
        (_TIMM, "timm:ARCH@FILE or timm:FOLDER", stages.TORCH),
    )
    for builder, form, libraries in own:
        name = form.partition(":")[0]
        values = {"form": form, "text": False} if builder == _TIMM else {"form": form}  # timm's networks read no text
        version = "2" if builder == _TRANSFORMERS else "1"  # since 2 a SigLIP reads what a prompt is filled up with
        yield Part("encoder", name, version, builder, values, summary=f"weights of yours: {form}", needs=libraries)


@hookimpl
def vgbench_offer_weights() -> Iterable[WeightsSpec]:
    for name, (_, _, repository, licence, summary) in _PUBLISHED.items():
        citation = _CITATIONS[name.partition("/")[0]]
        yield WeightsSpec(name, summary, f"hf://models/{repository}", None, licence, citation)
    yield WeightsSpec(
        TOYBOX, "CLIP trained on Toybox by this repository", "vgbench.toybox:clip", CLIP_SHA256, "Apache-2.0"
    )
