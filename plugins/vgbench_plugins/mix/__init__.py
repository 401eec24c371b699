"""``mix``: a union of other sources by weight or by count, for instance ``mix:0.5*(toybox)+0.5*(original)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from vgbench import CannotServe, DataRequest, Graph, Images, Option, Sees, SourceSpec, hookimpl, mixture, stages


def mix(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Ask each component for its share and join what they give.

    Excluded copies are left out, and counted, where the union is selected. A component that has fewer images than
    its share, or none of a class, is a shortfall of the union: nobody else fills in.
    """
    parts = mixture.resolved(options["parts"], g.recipe)
    components = [part.component for part in parts]
    n = request.images_per_class
    if n is None:
        if any(component.weight for component in components):
            raise CannotServe("a mixture by weight needs a number to share", hint="give --images-per-class N")
        n = sum(component.count for component in components)
    found = {
        part.name: g.images(part.component.source, replace(request, images_per_class=count, exclude=(), partial=True))
        for part, count in zip(parts, mixture.counts(components, n), strict=True)
        if count
    }
    return stages.union(g, found, request.classes)


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="mix",
        summary="a union of other sources, by weight or by count",
        kind="mixture",
        sees=Sees("class names"),  # and what its components see: the registry adds that
        set_graph=mix,
        primary="parts",
        options=(Option("parts", "mixture", "", "W*(SOURCE)+…: shares; Nx(SOURCE)+…: so many images of each class"),),
        generator_training_data="that of its components",
    )
