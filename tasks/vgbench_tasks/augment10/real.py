"""The real data sets of augment10: ImageNet's tenth. Caltech-256 is named by the paper, and waits for a class list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import CannotServe, Graph
from vgbench_tasks.augment10.graph import Setting
from vgbench_tasks.datasets.tenths import SPLITS

DATASETS = ("imagenet", "caltech256")
STORE_PX = 256  # assumed: what crops of 224 px are cut out of
LARGEST_TENTH = 130  # assumed: no class of ImageNet's training set has more than 1,300 images


def setting(g: Graph, options: Mapping[str, Any]) -> Setting:
    """Return ImageNet's shares; ``CannotServe`` for what this version cannot read."""
    if options["dataset"] == "caltech256":
        raise CannotServe(
            "dataset=caltech256: this version has no class list of Caltech-256, and what Burg et al. did with its "
            "class of clutter (257) is not known",
            hint="dataset=imagenet, or the twin toybox/augment10",
        )
    return Setting(
        g.class_list("imagenet-1k"),
        lambda share: g.dataset("imagenet-1k", SPLITS[share]),
        g.dataset("imagenet-1k", "test"),
        LARGEST_TENTH,
        STORE_PX,
    )
