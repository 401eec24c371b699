"""augment10's Toybox twin: the world's own training set in ImageNet's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import Graph, Option
from vgbench_tasks.augment10.graph import Setting
from vgbench_tasks.datasets.tenths import TENTH
from vgbench_tasks.datasets.toybox import SIZE_PX, WORLD, classes_of, drawn

OPTIONS = (
    WORLD,
    SIZE_PX,
    Option("real_per_class", "int", 250, "images of each kind in the training set that the 10 % are of", minimum=20),
    Option("n_test", "int", 2_000, "test images", minimum=1),
)


def setting(g: Graph, options: Mapping[str, Any]) -> Setting:
    """Return the shares of the world's training set; kinds take turns in it, so that all have equally many images."""
    classes = classes_of(g, options)
    n = options["real_per_class"] * len(classes)
    return Setting(
        classes,
        lambda share: drawn(g, "train", options, n=n, share=share),
        drawn(g, "val", options, n=options["n_test"]),
        int(TENTH * options["real_per_class"]),
        options["size_px"],
    )
