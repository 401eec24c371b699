"""augment10 (Burg et al., arXiv 2304.10253): what do a source's images add to a tenth of the real ones?

A network is trained on 10 % of the real training images and ``ratio`` times as many of the source's, and tested on the
real test set. Budget, validation images and their interval are the same for every row. The baselines are real images of
the same order: ``original`` at ratio 0 is the 10 % alone, at 1 and 2 it is 20 % and 30 % of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, DataRequest, Graph, Images, Metric, Option, Part, Scores, TaskSpec, hookimpl
from vgbench_tasks.augment10 import graph as protocol
from vgbench_tasks.augment10 import real, recipes, twin
from vgbench_tasks.datasets.tenths import RATIOS

CITATION = "Burg et al., Image retrieval outperforms diffusion models on data augmentation, TMLR 2023, arXiv 2304.10253"
RATIO = Option(
    "ratio", "int", 2, "the source's images for each real one of the 10 %: 2 triples them", choices=RATIOS, axis="row"
)
SAMPLES_SEEN = Option("samples_seen", "int", None, "training samples at most (default: the recipe's)", minimum=1)

Making = Callable[[Graph, Mapping[str, Any]], protocol.Setting]


def request(g: Graph, options: Mapping[str, Any], *, making: Making) -> DataRequest:
    return protocol.request(g, making(g, options), options)


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, making: Making) -> Scores:
    return protocol.graph(g, making(g, options), subject, options)


def _task(name: str, summary: str, making: Making, **more: Any) -> TaskSpec:
    return TaskSpec(
        name=name,
        version="1",
        summary=summary,
        request=partial(request, making=making),
        graph=partial(graph, making=making),
        metrics=(Metric("top1", chance="1/C"), Metric("mean_per_class", chance="1/C")),
        scorer=protocol.SCORER.entry,
        citation=CITATION,
        **more,
    )


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield _task(
        "augment10",
        "train on 10 % of the real images and the source's beside them, test on all of ImageNet's validation images",
        real.setting,
        labels=("imagenet-1k", "test"),
        datasets=("imagenet-1k",),
        primary="dataset",
        options=(
            Option("dataset", "str", "imagenet", "whose 10 %", choices=tuple(real.NAMES)),
            RATIO,
            Option("backbone", "str", "resnet50", "a declared backbone, or a timm architecture", axis="row"),
            Option("recipe", "str", "augment10", "a recipe that trains to a plateau"),
            SAMPLES_SEEN,
        ),
    )
    yield _task(
        "toybox/augment10",
        "train on 10 % of Toybox's real images and the source's beside them, test on unbiased images",
        twin.setting,
        options=(
            *twin.OPTIONS,
            RATIO,
            Option("backbone", "str", "toybox-resnet", "a declared backbone, or a timm architecture", axis="row"),
            Option("recipe", "str", "augment10-toybox", "a recipe that trains to a plateau"),
            SAMPLES_SEEN,
        ),
    )


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    yield recipes.IMAGENET
    yield recipes.TOYBOX
