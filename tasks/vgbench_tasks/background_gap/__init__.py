"""Background gap: what does a network lose when an object stands before a background of another class?

The 2 × 4,050 images mixed_same and mixed_rand of ImageNet-9 (Xiao et al., ICLR 2021); protocols.md §3.10. See
docs/bias.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import ClassListSpec, DatasetSpec, Part, Split, TaskSpec, UserTable, hookimpl
from vgbench.locate import READ_COPY_IMAGES, READ_COPY_LABELS
from vgbench.metrics.declared import background_metrics
from vgbench_tasks.background_gap import twin
from vgbench_tasks.imagenet import FLOOR, refusing

NAME = "background-gap"
CLASSES = "imagenet-9"
N_CLASSES = 9
SCORER = Part("scorer", NAME, "2", "vgbench.metrics.bias:background_gap", {"n_classes": N_CLASSES})


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name=NAME,
        version="1",
        summary="what is lost before a background of another class (ImageNet-9)?",
        request=refusing(NAME),
        graph=refusing(NAME),
        metrics=background_metrics(N_CLASSES, chance=None),
        scorer=SCORER.entry,
        labels=(NAME, "test"),
        options=(FLOOR,),
        datasets=(NAME,),
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
        place="",  # got by hand and added as Parquet; nobody has observed its bytes or sample ids yet
        sha256=None,
        read_images=READ_COPY_IMAGES,
        read_labels=READ_COPY_LABELS,
        license="",
        citation="Xiao et al., Noise or Signal, ICLR 2021 (arXiv 2006.09994)",
    )
