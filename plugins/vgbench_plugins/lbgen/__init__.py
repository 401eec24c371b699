"""lbGen (arXiv 2412.10831, CVPR 2025): images of a Stable Diffusion tuned against bias, where somebody has them.

Neither its images nor its weights were published (protocols §3.3): this reads what its code or its authors gave you.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import CannotServe, DataRequest, Graph, Images, Option, Sees, SourceSpec, hookimpl
from vgbench_plugins import published


def images(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Index images that lie where the user says; there is no other place."""
    if not options["path"]:
        raise CannotServe(
            "lbGen's images and weights were not published",
            hint="lbgen:PATH takes images that its code made: {wnid}/{wnid}_00000.png",
        )
    return published.images(g, request, options)


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="lbgen",
        summary="lbGen: Stable Diffusion 1.5 tuned against bias by class names and CLIP; your copy of its images",
        kind="generated",
        # its losses read class names, CLIP and Q-Align, no real image (lbGen eq. 5-8)
        sees=Sees("class names", models=("Stable Diffusion 1.5", "CLIP ViT-L/14", "Q-Align")),
        set_graph=images,
        primary="path",
        options=(Option("path", "path", None, "where the images lie: a folder, zips or tars"), *published.OPTIONS),
        citation="Low-biased general annotated dataset generation, CVPR 2025, arXiv 2412.10831",
        license="not published",
        generator_training_data="LAION-2B-en and subsets of it (Stable Diffusion's model card); class names",
    )
