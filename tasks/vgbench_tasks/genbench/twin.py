"""The benchmark's twin: Toybox's downstream sets, and the real digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import Dataset, Graph
from vgbench_tasks.datasets.toybox import drawn
from vgbench_tasks.genbench.sets import BenchmarkSet, Group, Splits, Which, declared

N_TRAIN, N_VAL, N_TEST = 200, 50, 100  # images of each class in a set's own splits (ours)
SIZE_PX = 64  # what the Toybox CLIP was trained on
_DRAWN: tuple[tuple[str, int, Group, str], ...] = (
    ("tools", 10, "common", "photo"),
    ("creatures", 10, "common", "photo"),
    ("stars", 6, "fine-grained", "photo"),
    ("leaves", 6, "fine-grained", "photo"),
    ("fishes", 6, "fine-grained", "photo"),
    ("patterns", 10, "rare", "pattern"),
    ("coats", 10, "rare", "texture"),
)


def _drawn(name: str) -> Splits:
    def split(g: Graph, options: Mapping[str, Any], which: Which) -> Dataset:
        n = {"train": N_TRAIN, "val": N_VAL, "test": options["n_test"]}[which]
        return drawn(g, f"downstream/{name}/{which}", {"size_px": SIZE_PX}, n=n)

    return split


TOYBOX: dict[str, BenchmarkSet] = {
    **{
        name: BenchmarkSet(name, f"toybox-{name}", n, f"toybox/{prompts}", "top1", group, _drawn(name))
        for name, n, group, prompts in _DRAWN
    },
    "digits": BenchmarkSet(
        "digits", "digits", 10, "toybox/digit", "top1", "rare", declared("digits"), dataset="digits"
    ),
}
