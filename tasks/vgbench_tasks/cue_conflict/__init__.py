"""Cue conflict: does a network name the shape or the texture of an image that has those of two categories?

The 1,280 images of Geirhos et al. (ICLR 2019); protocols.md §3.8. See docs/bias.md.
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
from vgbench.metrics.declared import texture_metrics
from vgbench_tasks.cue_conflict import twin
from vgbench_tasks.cue_conflict.categories import CATEGORIES
from vgbench_tasks.imagenet import FLOOR
from vgbench_tasks.pretrained import imagenet

NAME = "cue-conflict"
CLASSES = "cue-conflict"
N_CLASSES = 16
# Rates: as vgbench_tasks.datasets.real's, 224 px photographs on one of two busy cores.
READ_IMAGES = StepRef("vgbench.read_cue_conflict", "1", "vgbench_tasks.cue_conflict.read:images", rate=Rate(150, 200))
READ_LABELS = StepRef(
    "vgbench.read_cue_conflict_labels", "1", "vgbench_tasks.cue_conflict.read:labels", rate=Rate(20_000, 40)
)
SCORER = Part("scorer", NAME, "2", "vgbench.metrics.bias:cue_conflict", {"n_classes": N_CLASSES})


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, dataset: str = NAME) -> Scores:
    """Let the taught network choose among the 16 categories, by the mean probability of each one's members."""
    scores = partial(stages.answered, scorer=imagenet.with_floor(SCORER, options), rule="mean")
    return imagenet.answer(g, subject, options, dataset, CATEGORIES, scores)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="does a network go by shape or by texture (1,280 cue-conflict images)?",
        request=imagenet.request,
        graph=graph,
        metrics=texture_metrics(N_CLASSES),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(*imagenet.options(), FLOOR),
        datasets=(NAME,),
        extra="torch",
        citation="Geirhos et al., ICLR 2019 (arXiv 1811.12231)",
        labels_table=UserTable((("shape", "texture"), ()), "vgbench_tasks.cue_conflict.tables:labels"),
    )
    yield twin.TASK


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    yield ClassListSpec(CLASSES, "the 16 categories of cue conflict", "vgbench_tasks.cue_conflict:classes.json")


@hookimpl
def vgbench_offer_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec(
        name=NAME,
        summary="1,280 images with the shape of one category and the texture of another",
        classes=CLASSES,
        splits={"test": Split(1280, None)},
        place="",  # got by hand; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_IMAGES,
        read_labels=READ_LABELS,
        license="CC BY 4.0",
        citation="Geirhos et al., ICLR 2019 (arXiv 1811.12231)",
        access="manual",
        mirrors=("model-vs-human cue-conflict.tar.gz, extracted: SHAPE/SHAPE7-TEXTURE3.png",),
        reading={},
    )
