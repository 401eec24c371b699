"""Cue conflict: does a network name the shape or the texture of an image that has those of two categories?

The 1,280 images of Geirhos et al. (ICLR 2019); protocols.md §3.8. See docs/bias.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import (
    Backbone,
    ClassListSpec,
    DataRequest,
    DatasetSpec,
    Graph,
    Images,
    Node,
    Part,
    Scores,
    Split,
    TaskSpec,
    UserTable,
    hookimpl,
    stages,
)
from vgbench.locate import READ_COPY_IMAGES, READ_COPY_LABELS
from vgbench.metrics.declared import texture_metrics
from vgbench_tasks.cue_conflict import twin
from vgbench_tasks.imagenet import FLOOR, no_backbone

NAME = "cue-conflict"
CLASSES = "cue-conflict"
N_CLASSES = 16
SCORER = Part("scorer", NAME, "2", "vgbench.metrics.bias:cue_conflict", {"n_classes": N_CLASSES})


def scores(
    g: Graph,
    answers: Node,
    labels: Node,
    *,
    scorer: Part = SCORER,
    categories: stages.Categories | None = None,
    untrained: Node | None = None,
) -> Scores:
    """Let answers name shape or texture: the category of the highest mean member probability.

    ``answers`` are a network's predictions for the test; ``labels`` has the scorer's columns (``shape``, ``texture``).
    ``categories``: which of the network's classes count as which of the labels' (None: they are the same).
    ``untrained``: the answers of its initialisation, as floor and control.
    """
    return stages.answered(g, answers, labels, scorer=scorer, categories=categories, rule="mean", untrained=untrained)


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Say what is missing: no source can be asked for ImageNet's classes yet."""
    raise no_backbone(NAME)


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Say what is missing; ``scores`` is the graph from a trained network on."""
    raise no_backbone(NAME)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="does a network go by shape or by texture (1,280 cue-conflict images)?",
        request=request,
        graph=graph,
        metrics=texture_metrics(N_CLASSES),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(FLOOR,),
        datasets=(NAME,),
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
        place="",  # got by hand and added as Parquet; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_COPY_IMAGES,
        read_labels=READ_COPY_LABELS,
        license="CC BY 4.0",
        citation="Geirhos et al., ICLR 2019 (arXiv 1811.12231)",
    )
