"""RealFake (Yuan et al., arXiv 2310.10402): ImageNet redrawn image by image, as it was published.

One synthetic image for each real one: Stable Diffusion 1.5 with a LoRA that was fine-tuned on ImageNet draws from the
real image, its caption and its CLIP embedding (protocols §4.1). It cannot be made again: the modified diffusers and the
captions were not released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import DataRequest, Graph, Images, Option, Sees, SourceSpec, hookimpl
from vgbench.errors import NotObserved
from vgbench_plugins import published

HUB = "//JianhaoDYDY/Real-Fake"  # its data set's repository (RealFake's README)


def images(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index the images where they were downloaded to, or in the Hub's cache."""
    try:
        return published.images(g, request, options)
    except NotObserved as error:
        if options["path"] != HUB:
            raise
        hint = "download it and say realfake:PATH, or, all of it: vgbench data fetch --source realfake"
        raise NotObserved(f"RealFake's images are not here: hf:{HUB}", hint=hint) from error


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="realfake",
        summary="RealFake: every image of ImageNet redrawn by a fine-tuned Stable Diffusion 1.5, as published",
        kind="generated",
        # img2img from every real image, LoRA fine-tuned on all of them, with their labels (protocols §4.1)
        sees=Sees("full labelled set", models=("Stable Diffusion 1.5", "CLIP ViT-L/14", "BLIP2")),
        set_graph=images,
        primary="path",
        options=(Option("path", "path", HUB, "where your download lies: a folder, zips or tars"), *published.OPTIONS),
        citation="Yuan et al. (RealFake), arXiv 2310.10402",
        license="MIT (the data set's card)",
        generator_training_data="LAION-2B-en and subsets of it (Stable Diffusion's model card); ImageNet-1k",
    )
