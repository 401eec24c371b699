"""GenRobust (Bansal & Grover, arXiv 2302.02503): ImageNet drawn from its class names, and after fine-tuning on it.

Two releases, 1,300 training images for each of 1,000 classes (protocols §4.2). The base release is what the source sd
draws from CLIP's templates; docs/published.md has the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vgbench import DataRequest, Graph, Images, Option, Sees, SourceSpec, hookimpl
from vgbench.errors import NotObserved
from vgbench_plugins import published

LAION = "LAION-2B-en and subsets of it (Stable Diffusion's model card)"


def images_of(name: str, release: str) -> Callable[[Graph, DataRequest, Mapping[str, Any]], Images]:
    """Return the graph of a release: it lies where the user put it, since its place gives no checksum or commit."""

    def images(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
        if not options["path"]:
            hint = f"download the folder {release} that GenRobust's README links to, and say {name}:PATH"
            raise NotObserved("GenRobust's images have to be got by hand, from Google Drive", hint=hint)
        return published.images(g, request, options)

    return images


def _release(name: str, release: str, summary: str, sees: Sees, generator_training_data: str) -> SourceSpec:
    return SourceSpec(
        name=name,
        summary=summary,
        kind="generated",
        sees=sees,
        set_graph=images_of(name, release),
        primary="path",
        options=(Option("path", "path", None, f"where your download of {release} lies"), *published.OPTIONS),
        citation="Bansal & Grover (GenRobust), arXiv 2302.02503",
        license="not stated for the images; the fine-tuned generator: MIT",
        generator_training_data=generator_training_data,
    )


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield _release(
        "genrobust",
        "Finetuned-Generated-ImageNet-1K",
        "GenRobust: drawn by Stable Diffusion 1.5 fine-tuned on ImageNet, as published",
        Sees("full labelled set", models=("Stable Diffusion 1.5",)),  # the generator was fine-tuned on it
        f"{LAION}; ImageNet-1k",
    )
    yield _release(
        "genrobust-base",
        "Base-Generated-ImageNet-1K",
        "GenRobust's base release: drawn by Stable Diffusion 1.5 from class names in CLIP's templates, as published",
        Sees("class names", models=("Stable Diffusion 1.5",)),  # one image for each real one's name: no image was read
        LAION,
    )
