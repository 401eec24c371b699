"""What can be measured of an image set's features, for a task's ``metrics``. No numpy: tasks are declared everywhere.

A bound of 10⁶ stands for none: a declaration is JSON, which has no infinity. No measure has a chance level.
"""

from __future__ import annotations

from dataclasses import dataclass

from vgbench.types import Metric

UNBOUNDED = 1e6


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: its metric, what it reads besides the images (``reference``, ``text``), and of what n is the number.

    ``n``: all images (``all``: whatever there are), ``set`` (n images of each set), ``class`` (n images of each class).
    """

    metric: Metric
    reads: tuple[str, ...]
    n: str


def _of(name: str, unit: str, bounds: tuple[float, float], *, higher_is_better: bool = True) -> Metric:
    return Metric(name, unit, bounds, higher_is_better, recomputable_from="features")


MEASURES = {
    "clip_score": Measure(_of("clip_score", "fraction", (0.0, 1.0)), ("text",), "all"),
    "fid": Measure(_of("fid", "squared distance", (0.0, UNBOUNDED), higher_is_better=False), ("reference",), "set"),
    "kid": Measure(_of("kid", "squared MMD", (-UNBOUNDED, UNBOUNDED), higher_is_better=False), ("reference",), "set"),
    "vendi": Measure(_of("vendi", "effective images", (1.0, UNBOUNDED)), (), "class"),
    "precision": Measure(_of("precision", "fraction", (0.0, 1.0)), ("reference",), "set"),
    "recall": Measure(_of("recall", "fraction", (0.0, 1.0)), ("reference",), "set"),
    "density": Measure(_of("density", "ratio", (0.0, UNBOUNDED)), ("reference",), "set"),
    "coverage": Measure(_of("coverage", "fraction", (0.0, 1.0)), ("reference",), "set"),
}
MTS = _of("mts", "cosine", (-1.0, 1.0))
