"""FOCUS: how much of a network's accuracy is left when objects stand in uncommon contexts?

The 20,815 released images of Kattakinda & Feizi (2022) by number of uncommon attributes; lbGen eq. 9, protocols.md
§3.9. See docs/bias.md.
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
from vgbench.metrics.declared import context_metrics
from vgbench_tasks.focus import twin
from vgbench_tasks.focus.categories import CATEGORIES
from vgbench_tasks.imagenet import FLOOR
from vgbench_tasks.pretrained import imagenet

NAME = "focus"
CLASSES = "focus"
N_CLASSES = 10
UNCOMMON = ("uncommon_time", "uncommon_weather", "uncommon_location")
ANNOTATED = ("time", "weather", "locations")
# Of the released partitions P0 to P3: a guess among ImageNet's 1,000 classes is right by the number of the category's
# members, averaged over the images (computed from the published annotations; tests/tasks/test_bias_tasks.py).
CHANCES = (0.03227, 0.02064, 0.02055, 0.01752)
# Rates: as vgbench_tasks.datasets.real's, 224 px photographs on one of two busy cores.
READ_IMAGES = StepRef("vgbench.read_focus", "1", "vgbench_tasks.focus.read:images", rate=Rate(150, 200))
READ_LABELS = StepRef("vgbench.read_focus_labels", "1", "vgbench_tasks.focus.read:labels", rate=Rate(20_000, 40))
SCORER = Part("scorer", NAME, "1", "vgbench.metrics.bias:context_bias", {"n_classes": N_CLASSES})


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, dataset: str = NAME) -> Scores:
    """Let the taught network name the photographs: right if its top class is one of the category's."""
    scores = partial(stages.answered, scorer=imagenet.with_floor(SCORER, options), rule="top1")
    return imagenet.answer(g, subject, options, dataset, CATEGORIES, scores)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="how much accuracy is left in uncommon contexts (FOCUS)?",
        request=imagenet.request,
        graph=graph,
        metrics=context_metrics(N_CLASSES, chances=CHANCES),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(*imagenet.options(), FLOOR),
        datasets=(NAME,),
        extra="torch",
        citation="Kattakinda & Feizi, FOCUS, 2022; lbGen (arXiv 2412.10831), eq. 9",
        predictions_table=UserTable(
            (("prediction",), ("top1_correct",), ("correct",)), "vgbench_tasks.focus.tables:predictions"
        ),
        labels_table=UserTable(
            tuple(
                (category, *attributes)
                for attributes in (UNCOMMON, ANNOTATED)
                for category in ("category", "class_id", "category_index")
            ),
            "vgbench_tasks.focus.tables:labels",
        ),
    )
    yield twin.TASK


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    yield ClassListSpec(CLASSES, "the ten categories of FOCUS", "vgbench_tasks.focus:classes.json")


@hookimpl
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec(
        name=NAME,
        summary="20,815 photographs of ten kinds of objects, annotated by time, weather and location",
        classes=CLASSES,
        splits={"test": Split(20815, None)},
        place="",  # got by hand; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_IMAGES,
        read_labels=READ_LABELS,
        license="",
        citation="Kattakinda & Feizi, FOCUS, 2022; lbGen (arXiv 2412.10831), eq. 9",
        access="manual",
        mirrors=("FOCUS, extracted: annotations.db and the photographs beside it",),
        reading={},
    )
