"""What the bias scorers report, for a task's ``metrics``. No numpy: tasks are declared on the path of every command.

Chance is a number here, not "1/C": C is the number of classes that a source is asked for, and a test may have others.
"""

from __future__ import annotations

from vgbench.types import Metric

CHANCES = 3  # P_0's accuracy must be this many times chance: below it a ratio to it is noise (toybox.md)


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


def context_metrics(n_classes: int, *, guessed: bool = True) -> tuple[Metric, ...]:
    """Return what ``context_bias`` reports for K categories; ``guessed``: a guess is one of these K.

    Otherwise (the top class of 1,000, mapped to ten) accuracies have no simple chance level. A ratio is at most
    K/3, since P_0's accuracy is at least 3/K.
    """
    ratios = ("avg", "12", "12_reweighted", "1", "2", "3")
    chance = 1 / n_classes if guessed else None
    highest = max(1.0, n_classes / CHANCES)
    return (
        *(Metric(f"context_bias_{name}", bounds=(0.0, highest)) for name in ratios),
        *(Metric(f"accuracy_p{k}", chance=chance) for k in range(4)),
    )


def background_metrics(n_classes: int, *, guessed: bool = True) -> tuple[Metric, ...]:
    """Return what ``background_gap`` reports for K classes; ``guessed`` as in ``context_metrics``.

    The relative gap is above 1 − K, since the accuracy that it is relative to is above 1/K.
    """
    chance = 1 / n_classes if guessed else None
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
