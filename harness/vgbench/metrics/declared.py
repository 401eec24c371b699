"""What scorers report besides accuracy, for a task's ``metrics``. No numpy: tasks are declared on every command's path.

The chance level of an accuracy: "1/C" where answers are the classes that the source is asked for, a number where they
are others, None where it is not simple (the top class of 1,000, mapped to ten).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from vgbench.types import Metric

Chance: TypeAlias = float | Literal["1/C"] | None

CHANCES = 3  # P_0's accuracy must be this many times chance: below it a ratio to it is noise (toybox.md)

BEST_TEST_EPOCH = "best_test_epoch"
NO_INTERVAL = f"{BEST_TEST_EPOCH} is the best of many looks at the test items, and no interval holds for that"


def best_test_epoch(main: Metric) -> Metric:
    """Return what the score step reports of a probe that is scored after every epoch: a task does not declare it.

    The highest value that ``main`` takes on the test set; guessing gives more than chance there.
    """
    return replace(main, id=BEST_TEST_EPOCH, chance=None)


def texture_metrics(n_classes: int, *, gap: bool = False) -> tuple[Metric, ...]:
    """Return what ``cue_conflict`` reports for K categories; ``gap`` where the labels have the column ``variant``."""
    found = (
        Metric("texture_inclination", higher_is_better=False),
        Metric("texture_inclination_corrected", higher_is_better=False),
        Metric("shape_accuracy", chance=1 / n_classes),
        Metric("texture_accuracy", chance=1 / n_classes, higher_is_better=False),
        Metric("decided", chance=2 / n_classes),
    )
    return (*found, Metric("texture_gap", bounds=(-1.0, 1.0), higher_is_better=False)) if gap else found


def context_metrics(n_classes: int, *, chance: Chance = None, chances: Sequence[Chance] = ()) -> tuple[Metric, ...]:
    """Return what ``context_bias`` reports for at most K categories; ``chance`` of all partitions, or four ``chances``.

    A ratio is at most K/3, since P_0's accuracy is at least 3/K.
    """
    ratios = ("avg", "12", "12_reweighted", "1", "2", "3")
    highest = max(1.0, n_classes / CHANCES)
    return (
        *(Metric(f"context_bias_{name}", bounds=(0.0, highest)) for name in ratios),
        *(Metric(f"accuracy_p{k}", chance=given) for k, given in enumerate(chances or (chance,) * 4)),
    )


def background_metrics(n_classes: int, *, chance: Chance) -> tuple[Metric, ...]:
    """Return what ``background_gap`` reports for at most K classes.

    The relative gap is above 1 − K, since the accuracy that it is relative to is above 1/K.
    """
    return (
        Metric("background_gap", bounds=(-1.0, 1.0), higher_is_better=False),
        Metric("background_gap_relative", bounds=(1.0 - n_classes, 1.0), higher_is_better=False),
        Metric("accuracy_same", chance=chance),
        Metric("accuracy_rand", chance=chance),
    )


CHANGED_FACTORS = ("texture", "background", "context", "colour")


def flip_metrics() -> tuple[Metric, ...]:
    """Return what ``flips`` reports."""
    found = (Metric(f"flip_{factor}", higher_is_better=False) for factor in CHANGED_FACTORS)
    return (Metric("top1", chance="1/C"), *found)


def ranking_metrics(*, several_labels: bool) -> tuple[Metric, ...]:
    """Return what ``multilabel:eleven_point_map`` or ``ranking:roc_auc`` reports.

    A guess's average precision depends on how frequent each class is, and on the highest precision it meets by luck:
    no chance level is declared for it, and controls are judged by the area under the curve, whose chance is 1/2.
    """
    if several_labels:
        return (Metric("eleven_point_map"), Metric("mean_auc", chance=0.5))
    return (Metric("roc_auc", chance=0.5),)
