"""Toybox as a source: images drawn by code, from factors that are dials. It draws digits, and objects in scenes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import (
    CannotServe,
    ClassEntry,
    ClassListSpec,
    DataRequest,
    Graph,
    Node,
    Option,
    Rate,
    Sees,
    SourceSpec,
    StepRef,
    hookimpl,
)
from vgbench.errors import UsageError
from vgbench.toybox import kinds, patterns

# What each kind of image depends on: nothing else enters a class's key.
DIGIT_OPTIONS = ("warp", "thickness", "slant", "noise", "micro_batch")
BIASES = ("background_bias", "texture_bias", "context_bias", "colour_bias", "label_noise")
PLACEBOS = ("pose_range", "occlusion", "noise")
SCENE_OPTIONS = ("world", *BIASES, *PLACEBOS, "size_px", "micro_batch")

DRAW_DIGITS = StepRef(
    "vgbench.draw_digits",
    "1",
    "vgbench_plugins.toybox.generate:draw_digits",
    seed="source",
    shards="index:micro_batch",
    rate=Rate(items_per_second=4_700, bytes_per_item=370),
)
DRAW_SCENES = StepRef(
    "vgbench.draw_scenes",
    "1",
    "vgbench_plugins.toybox.generate:draw_scenes",
    seed="source",
    shards="index:micro_batch",
    rate=Rate(items_per_second=500, bytes_per_item=8_800),  # at 64 px, PNG included
)


def draw(g: Graph, entry: ClassEntry, request: DataRequest, options: Mapping[str, Any]) -> Node:
    """Return the endless images of one class: a digit (``digit-0`` to ``digit-9``) or an object of the world."""
    prefix, _, digit = entry.id.partition("-")
    if prefix == "digit" and digit in set("0123456789"):
        return g.node(DRAW_DIGITS, params={"class_id": entry.id, **{name: options[name] for name in DIGIT_OPTIONS}})
    try:
        n_kinds, _ = kinds.preset(options["world"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not _is_drawn(entry.id, n_kinds):
        known = f"the {n_kinds} kinds of its world {options['world']} (vgbench show toybox{n_kinds})"
        if n_kinds == kinds.N_TRAINING:
            known += ", and the classes of toybox/transfer"
        raise CannotServe(
            f"Toybox cannot draw the class {entry.id!r}", hint=f"it draws digit-0 to digit-9, and {known}"
        )
    return g.node(DRAW_SCENES, params={"class_id": entry.id, **{name: options[name] for name in SCENE_OPTIONS}})


def _is_drawn(class_id: str, n_kinds: int) -> bool:
    """Say whether a world of so many kinds has a class; the full one draws those of the downstream sets too."""
    is_full = n_kinds == kinds.N_TRAINING
    if class_id in kinds.NUMBER:
        number = kinds.NUMBER[class_id]
        return number < n_kinds or (is_full and number != kinds.FRAME)
    return is_full and class_id in patterns.NUMBER


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    typical = "P(typical) = dial + (1 - dial)/N"
    yield SourceSpec(
        name="toybox",
        summary="the embedded world: objects in scenes whose biases are dials, and handwritten-looking digits",
        kind="rendered",
        sees=Sees("class names"),
        class_graph=draw,
        options=(
            _dial(
                "background_bias", 0.0, f"scenes: how often the background is the kind's typical one; {typical}", 1.0
            ),
            _dial("texture_bias", 0.0, "scenes: how often the texture is the kind's typical one", 1.0),
            _dial("context_bias", 0.0, "scenes: how often time, weather and location are the kind's typical ones", 1.0),
            _dial("colour_bias", 0.0, "scenes: how often the colour is the kind's typical one", 1.0),
            _dial("label_noise", 0.0, "scenes: share of images that show another kind", 1.0),
            _dial("pose_range", 1.0, "scenes: strength of rotation, shift, stretch and deformation, 1 = default"),
            _dial("occlusion", 1.0, "scenes: how often a bar lies before the object, 1 = a quarter of the images"),
            _dial("noise", 1.0, "scenes: grain; digits: ragged edges; 1 = default"),
            Option("size_px", "int", 64, "scenes: side of the image", choices=(32, 48, 64)),
            Option("world", "str", "full", "scenes: full (40 kinds) or coarse (16); full-N, coarse-N: other pairings"),
            _dial("warp", 1.0, "digits: strength of warp, 1 = default"),
            _dial("thickness", 1.0, "digits: strength of thickness, 1 = default"),
            _dial("slant", 1.0, "digits: strength of slant, 1 = default"),
            Option("micro_batch", "int", 256, "images made together and kept in one shard", minimum=1),
        ),
        citation="vgbench's Toybox (docs/toybox.md)",
        license="Apache-2.0",
        generator_training_data="none: drawn by code",
    )


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    yield ClassListSpec("toybox40", "the 40 kinds of Toybox's full world", "vgbench_plugins.toybox:toybox40.json")
    yield ClassListSpec("toybox16", "the 16 kinds of Toybox's coarse world", "vgbench_plugins.toybox:toybox16.json")


def _dial(name: str, default: float, text: str, maximum: float = 2.0) -> Option:
    return Option(name, "float", default, text, minimum=0.0, maximum=maximum)
