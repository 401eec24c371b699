"""Toybox as a source: images drawn by code, from factors that are dials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import CannotServe, ClassEntry, DataRequest, Graph, Node, Option, Rate, Sees, SourceSpec, StepRef, hookimpl

DIALS = ("warp", "thickness", "slant", "noise")
DRAW_DIGITS = StepRef(
    "vgbench.draw_digits",
    "1",
    "vgbench_plugins.toybox.generate:draw_digits",
    seed="source",
    shards="index:micro_batch",
    rate=Rate(items_per_second=4_700, bytes_per_item=370),
)


def draw(g: Graph, entry: ClassEntry, request: DataRequest, options: Mapping[str, Any]) -> Node:
    """Return the endless images of one class: the ten digits, whose ids are ``digit-0`` to ``digit-9``."""
    kind, _, digit = entry.id.partition("-")
    if kind != "digit" or digit not in set("0123456789"):
        raise CannotServe(f"Toybox cannot draw the class {entry.id!r}", hint="it draws digit-0 to digit-9")
    return g.node(DRAW_DIGITS, params={"class_id": entry.id, **options})


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="toybox",
        summary="the embedded world: digits drawn with strokes, warps, slant and noise",
        kind="rendered",
        sees=Sees("class names"),
        class_graph=draw,
        options=(
            *(
                Option(name, "float", 1.0, f"strength of {name}, 1 = default", minimum=0.0, maximum=2.0)
                for name in DIALS
            ),
            Option("micro_batch", "int", 256, "images made together and kept in one shard", minimum=1),
        ),
        generator_training_data="none: drawn by code",
    )
