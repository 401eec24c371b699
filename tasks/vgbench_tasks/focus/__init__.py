"""FOCUS: how much of a network's accuracy is left when objects stand in uncommon contexts?

The 20,815 released images of Kattakinda & Feizi (2022) by number of uncommon attributes; lbGen eq. 9, protocols.md
§3.9. See docs/bias.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import ClassListSpec, DatasetSpec, Part, Split, TaskSpec, UserTable, hookimpl
from vgbench.locate import READ_COPY_IMAGES, READ_COPY_LABELS
from vgbench.metrics.declared import context_metrics
from vgbench_tasks.focus import twin
from vgbench_tasks.imagenet import FLOOR, refusing

NAME = "focus"
CLASSES = "focus"
N_CLASSES = 10
UNCOMMON = ("uncommon_time", "uncommon_weather", "uncommon_location")
ANNOTATED = ("time", "weather", "locations")
SCORER = Part("scorer", NAME, "1", "vgbench.metrics.bias:context_bias", {"n_classes": N_CLASSES})


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="how much accuracy is left in uncommon contexts (FOCUS)?",
        request=refusing(NAME),
        graph=refusing(NAME),
        metrics=context_metrics(N_CLASSES, chance=None),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(FLOOR,),
        datasets=(NAME,),
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
        place="",  # got by hand and added as Parquet; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_COPY_IMAGES,
        read_labels=READ_COPY_LABELS,
        license="",
        citation="Kattakinda & Feizi, FOCUS, 2022; lbGen (arXiv 2412.10831), eq. 9",
    )
