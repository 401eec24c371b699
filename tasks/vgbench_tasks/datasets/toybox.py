"""Toybox's test sets as data sets: images and labels drawn apart, by name, world, size and number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import ClassList, Dataset, Graph, Option, Rate, StepRef, UsageError
from vgbench.toybox import kinds

# Rates: cases a second on one of two busy cores; drawing at 64 px with PNG, labels of the largest set, cue conflict.
DRAW = StepRef("vgbench.draw_test", "2", "vgbench_tasks.datasets.toybox_draw:images", rate=Rate(590, 8_700))
TRUTH = StepRef("vgbench.draw_truth", "1", "vgbench_tasks.datasets.toybox_draw:labels", rate=Rate(58_000, 220))

# What every task on Toybox has: which world, and how large its images are.
WORLD = Option("world", "str", "full", "full (40 kinds) or coarse (16); full-N, coarse-N: other pairings")
SIZE_PX = Option("size_px", "int", 64, "side of the test images", choices=(32, 48, 64))


def drawn(
    g: Graph, name: str, options: Mapping[str, Any], *, n: int, share: tuple[float, float] | None = None
) -> Dataset:
    """Return ``n`` test cases of a set (``vgbench_tasks.datasets.toybox_draw.SETS``, or ``downstream/NAME/SPLIT``).

    A case of a paired set is several images. No source draws one of them: their seeds are of splits of their own.
    ``share``: of each class only the cases between two fractions in the order of the SHA-256 of their ids, as splits
    of real data sets are derived.
    """
    params: dict[str, Any] = {"set": name, "n": n}
    if share is not None:
        params["share"] = list(share)
    if not name.startswith("downstream/"):  # those are drawn in a world of their own
        params["world"] = options["world"]
    return Dataset(g.node(DRAW, params={**params, "size_px": options["size_px"]}), g.node(TRUTH, params=params))


def classes_of(g: Graph, options: Mapping[str, Any]) -> ClassList:
    """Return the kinds of the options' world as a class list."""
    try:
        n_kinds, _ = kinds.preset(options["world"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    return g.class_list(f"toybox{n_kinds}")
