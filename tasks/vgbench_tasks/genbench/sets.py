"""The data sets of the protocol: classes, prompts, metric, group, and where their splits come from. No numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vgbench import Dataset, Graph

Group: TypeAlias = Literal["common", "fine-grained", "rare"]
Crop: TypeAlias = Literal["center", "squash"]
# GenBench, tables of vision_benchmark/resources and multi_task_configs.py; the metric of each set (protocols §1.1)
MetricName: TypeAlias = Literal["top1", "mean_per_class", "eleven_point_map", "roc_auc"]
Which: TypeAlias = Literal["train", "val", "test"]
Splits: TypeAlias = Callable[[Graph, Mapping[str, Any], Which], Dataset]


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """One data set of the benchmark.

    name, classes, prompts  of the set, its class list and its prompts part
    metric                  what the benchmark reports of it
    group                   Common, Fine-grained or Rare
    split                   the graph of its ``train``, ``val`` and ``test`` splits; no image is in two of them
    crop                    the encoder's centre crop, or the whole image squashed to a square
    is_multi_label          images have several labels: classes are probed one against the rest
    dataset                 the declared data set behind it; None where a graph draws it
    """

    name: str
    classes: str
    n_classes: int
    prompts: str
    metric: MetricName
    group: Group
    split: Splits
    crop: Crop = "center"
    is_multi_label: bool = False
    dataset: str | None = None


# The sets with validation images of their own. SUN397's 19,850 are not: the official partition has none, and they may
# overlap with the others (protocols §1.12).
HAVE_VAL = frozenset(
    (
        *("voc-2007-classification", "oxford-flower-102", "fgvc-aircraft-2013b-variants102", "country211", "dtd"),
        *("eurosat_clip", "resisc45_clip", "gtsrb", "fer-2013", "kitti-distance", "patch-camelyon", "rendered-sst2"),
    )
)


def declared(name: str) -> Splits:
    """Return a declared data set's splits; without validation images a fifth of its training ones is held out."""

    def split(g: Graph, options: Mapping[str, Any], which: Which) -> Dataset:
        holds_out = options.get("split") == "val" or options.get("val") == "real"
        if name not in HAVE_VAL and holds_out:
            return g.dataset(name, {"train": "train80", "val": "val20", "test": "test"}[which])
        return g.dataset(name, which)

    return split


# (ELEVATER key, classes, metric, group). The paper's groups are in a table that nobody here could read: these are
# assumed. They are kept because six Common sets of 1,629 classes reproduce its cost of that group (protocols §1.2).
_REAL: tuple[tuple[str, int, MetricName, Group], ...] = (
    ("imagenet-1k", 1000, "top1", "common"),
    ("sun397", 397, "top1", "common"),
    ("caltech-101", 102, "mean_per_class", "common"),
    ("cifar-10", 10, "top1", "common"),
    ("cifar-100", 100, "top1", "common"),
    ("voc-2007-classification", 20, "eleven_point_map", "common"),
    ("food-101", 101, "top1", "fine-grained"),
    ("oxford-iiit-pets", 37, "mean_per_class", "fine-grained"),
    ("oxford-flower-102", 102, "mean_per_class", "fine-grained"),
    ("stanford-cars", 196, "top1", "fine-grained"),
    ("fgvc-aircraft-2013b-variants102", 100, "mean_per_class", "fine-grained"),
    ("country211", 211, "top1", "rare"),
    ("dtd", 47, "top1", "rare"),
    ("eurosat_clip", 10, "top1", "rare"),
    ("resisc45_clip", 45, "top1", "rare"),
    ("gtsrb", 43, "top1", "rare"),
    ("fer-2013", 7, "top1", "rare"),
    ("kitti-distance", 4, "top1", "rare"),
    ("patch-camelyon", 2, "top1", "rare"),
    ("rendered-sst2", 2, "top1", "rare"),
    ("hateful-memes", 2, "roc_auc", "rare"),
    ("mnist", 10, "top1", "rare"),
)
SQUASHED = ("kitti-distance",)  # resized to a square without a crop, which would cut the nearest cars off (§1.6)

GENBENCH: dict[str, BenchmarkSet] = {
    name: BenchmarkSet(
        name=name,
        classes=name,
        n_classes=n_classes,
        prompts=f"genbench/{name}",
        metric=metric,
        group=group,
        split=declared(name),
        crop="squash" if name in SQUASHED else "center",
        is_multi_label=metric == "eleven_point_map",
        dataset=name,
    )
    for name, n_classes, metric, group in _REAL
}
