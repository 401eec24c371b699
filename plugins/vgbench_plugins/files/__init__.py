"""Sources over images that exist already: ``original``, the task's own real training images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import CannotServe, DataRequest, Graph, Images, Sees, SourceSpec, hookimpl


def original(g: Graph, request: DataRequest, options: Mapping[str, Any]) -> Images:
    """Return the request's pool, or its references, as they are: nothing is copied."""
    found = request.pool or request.references
    if found is None:
        raise CannotServe("the task names no real training images of its classes")
    return found


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="original",
        summary="the task's own real training images",
        kind="real",
        sees=Sees("full labelled set"),
        set_graph=original,
        generator_training_data="none: the images are real",
    )
