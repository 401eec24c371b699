"""Background gap: what does a network lose when an object stands before a background of another class?

The 2 × 4,050 images mixed_same and mixed_rand of ImageNet-9 (Xiao et al., ICLR 2021); protocols.md §3.10. See
docs/bias.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import (
    Backbone,
    ClassListSpec,
    DatasetSpec,
    Graph,
    Images,
    Part,
    Rate,
    Scores,
    Split,
    StepRef,
    TaskSpec,
    UserTable,
    hookimpl,
    stages,
)
from vgbench.metrics.declared import background_metrics
from vgbench_tasks.background_gap import twin
from vgbench_tasks.background_gap.categories import CATEGORIES
from vgbench_tasks.imagenet import FLOOR
from vgbench_tasks.pretrained import imagenet

NAME = "background-gap"
CLASSES = "imagenet-9"
N_CLASSES = 9
# Of a guess among ImageNet's 1,000 classes: each of the nine has as many images, and 370 classes count in all.
CHANCE = 370 / 1000 / N_CLASSES
# Rates: as vgbench_tasks.datasets.real's, 224 px photographs on one of two busy cores.
READ_IMAGES = StepRef(
    "vgbench.read_background_gap", "1", "vgbench_tasks.background_gap.read:images", rate=Rate(150, 200)
)
READ_LABELS = StepRef(
    "vgbench.read_background_gap_labels", "1", "vgbench_tasks.background_gap.read:labels", rate=Rate(20_000, 40)
)
SCORER = Part("scorer", NAME, "2", "vgbench.metrics.bias:background_gap", {"n_classes": N_CLASSES})


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, dataset: str = NAME) -> Scores:
    """Let the taught network name the objects: its top class of 1,000, mapped to the nine."""
    scores = partial(stages.answered, scorer=imagenet.with_floor(SCORER, options), rule="top1")
    return imagenet.answer(g, subject, options, dataset, CATEGORIES, scores)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="what is lost before a background of another class (ImageNet-9)?",
        request=imagenet.request,
        graph=graph,
        metrics=background_metrics(N_CLASSES, chance=CHANCE),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(*imagenet.options(), FLOOR),
        datasets=(NAME,),
        extra="torch",
        citation="Xiao et al., Noise or Signal, ICLR 2021 (arXiv 2006.09994)",
        predictions_table=UserTable((("prediction",), ("correct",)), "vgbench_tasks.background_gap.tables:predictions"),
        labels_table=UserTable(
            (("class_id", "variant", "foreground"), ("class_id", "variant")),
            "vgbench_tasks.background_gap.tables:labels",
        ),
    )
    yield twin.TASK


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    yield ClassListSpec(CLASSES, "the nine classes of ImageNet-9", "vgbench_tasks.background_gap:classes.json")


@hookimpl
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec(
        name=NAME,
        summary="ImageNet-9: 4,050 foregrounds before a background of their own and of another class",
        classes=CLASSES,
        splits={"test": Split(8100, None)},
        place="",  # got by hand; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_IMAGES,
        read_labels=READ_LABELS,
        license="",
        citation="Xiao et al., Noise or Signal, ICLR 2021 (arXiv 2006.09994)",
        access="manual",
        mirrors=("backgrounds_challenge_data.tar.gz, extracted: bg_challenge/mixed_same, bg_challenge/mixed_rand",),
        reading={},
    )
