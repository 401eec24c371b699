"""The real data sets of augment10: ImageNet's tenth, and Caltech-256's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import Graph
from vgbench_tasks.augment10.graph import Setting
from vgbench_tasks.datasets.tenths import SPLITS

# Images in a tenth of the largest class. Assumed: no class of ImageNet's training set has more than 1,300 images. Of
# Caltech-256 none has more than 827 (its pages), of which 20 % are the test's.
LARGEST_TENTH = {"imagenet-1k": 130, "caltech-256": 66}
NAMES = {"imagenet": "imagenet-1k", "caltech256": "caltech-256"}  # as the paper and as vgbench call them
STORE_PX = 256  # assumed: what crops of 224 px are cut out of


def setting(g: Graph, options: Mapping[str, Any]) -> Setting:
    """Return a data set's shares. Caltech-256 has no public split: the test is the lowest 20 % of each class (ours)."""
    name = NAMES[options["dataset"]]
    return Setting(
        g.class_list(name),
        lambda share: g.dataset(name, SPLITS[share]),
        g.dataset(name, "test"),
        LARGEST_TENTH[name],
        STORE_PX,
    )
