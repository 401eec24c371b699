"""Cue conflict: does a network name the shape or the texture of an image that has those of two categories?

The 1,280 images of Geirhos et al. (ICLR 2019); protocols.md §3.8. See docs/bias.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import ClassListSpec, DatasetSpec, Part, Split, TaskSpec, UserTable, hookimpl
from vgbench.locate import READ_COPY_IMAGES, READ_COPY_LABELS
from vgbench.metrics.declared import texture_metrics
from vgbench_tasks.cue_conflict import twin
from vgbench_tasks.imagenet import FLOOR, refusing

NAME = "cue-conflict"
CLASSES = "cue-conflict"
N_CLASSES = 16
SCORER = Part("scorer", NAME, "2", "vgbench.metrics.bias:cue_conflict", {"n_classes": N_CLASSES})


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="does a network go by shape or by texture (1,280 cue-conflict images)?",
        request=refusing(NAME),
        graph=refusing(NAME),
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
