"""Gain over zero-shot: what images add to an encoder that already reads class names, averaged over a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from vgbench import stats
from vgbench.results import Ci, SuiteMean
from vgbench_leaderboard.aggregate.readings import ItemsOf, Reading, Suite, Way, digests, missing, named

if TYPE_CHECKING:
    from vgbench.stats import Difference

VERSION = "2"  # 2: best_test_epoch is called that, and has no interval


def over_suite(suite: Suite, items_of: ItemsOf) -> list[SuiteMean]:
    """Return each row's mean over the suite in each way of reading out, and its gain over zero-shot.

    Both are averaged only when complete. The metrics are each data set's own, all of them fractions; a data set counts
    once, whatever its size. Source: the headline figure of GenBench (arXiv 2307.13697) shows such gains.
    """
    read, ways = {row for row, *_ in suite.readings}, suite.ways
    return [_suite_mean(suite, at, way, items_of) for at, row in enumerate(suite.rows) if row in read for way in ways]


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of some readings, by data set, or what it lacks; ``over`` are the zero-shot readings."""

    by_dataset: Mapping[str, float]
    over: Mapping[str, Reading]
    lacks: tuple[str, ...]

    @property
    def value(self) -> float | None:
        return None if self.lacks or not self.by_dataset else fmean(self.by_dataset.values())


def gain_of(suite: Suite, found: Mapping[str, Reading | None]) -> Gain:
    """Compare readings with the zero-shot readings of the same row, data set and encoder; higher is better."""
    by_dataset: dict[str, float] = {}
    over: dict[str, Reading] = {}
    lacks = missing(found)
    for dataset, reading in found.items():
        if reading is None or reading.value is None:
            continue
        zeroshot = suite.zeroshot(reading.row, dataset, reading.way)
        if isinstance(zeroshot, str):
            lacks.append(zeroshot)
            continue
        assert zeroshot.value is not None
        by_dataset[dataset] = reading.sign * (reading.value - zeroshot.value)
        over[dataset] = zeroshot
    return Gain(by_dataset, over, tuple(lacks))


def mean_of(found: Mapping[str, Reading | None]) -> tuple[float | None, str | None]:
    """Return the mean over data sets, or None and why."""
    lacks = missing(found)
    units = sorted({reading.unit or "" for reading in found.values() if reading})
    if not lacks and units != ["fraction"]:
        return None, f"metrics in {', '.join(units)} have no mean"
    values = [reading.value for reading in found.values() if reading and reading.value is not None]
    return (None, named(lacks)) if lacks or not values else (fmean(values), None)


def _suite_mean(suite: Suite, at: int, way: Way, items_of: ItemsOf) -> SuiteMean:
    found = suite.of(suite.rows[at], way)
    value, reason = mean_of(found)
    is_gaining = bool(way.readout) and not way.is_zeroshot
    gain = gain_of(suite, found) if is_gaining else Gain({}, {}, ())
    ci, ci_reason = _interval(suite, found, gain, items_of) if value is not None else (None, None)
    return SuiteMean(
        version=VERSION,
        suite=suite.name,
        row=at,
        readout=way.readout,
        encoder=way.encoder,
        n_datasets=len(suite.datasets),
        value=value,
        gain=gain.value if value is not None else None,
        ci=ci,
        by_dataset={d: reading.value for d, reading in found.items() if reading and reading.value is not None},
        gain_by_dataset=dict(gain.by_dataset),
        cells=digests([*found.values(), *gain.over.values()]),
        reason=reason,
        gain_reason=(named(gain.lacks) or reason) if is_gaining else None,
        ci_reason=ci_reason,
    )


def _interval(
    suite: Suite, found: Mapping[str, Reading | None], gain: Gain, items_of: ItemsOf
) -> tuple[Ci | None, str | None]:
    """Return the interval of a gain over test items like these, the data sets fixed; or why there is none."""
    if gain.value is None:
        return None, None
    differences = []
    for dataset in suite.datasets:
        reading = found[dataset]
        assert reading is not None
        compared = difference(reading, gain.over[dataset], items_of)
        if isinstance(compared, str):
            return None, compared
        differences.append(compared)
    ci = stats.mean_interval(differences)
    return Ci(lo=ci.lo, hi=ci.hi, level=ci.level, method=ci.method), None


def difference(reading: Reading, zeroshot: Reading, items_of: ItemsOf) -> Difference | str:
    """Compare two readings item by item; a zero-shot reading that draws no seed is the same in every training run."""
    import numpy as np

    ours, theirs = reading.items(items_of), zeroshot.items(items_of)
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours if isinstance(ours, str) else str(theirs)
    if ours.sample_ids != theirs.sample_ids:
        return f"{reading.dataset}: scored on different samples"
    base = theirs.values
    if len(base) == 1:
        base = np.repeat(base, len(ours.values), axis=0)
    return stats.difference(ours.values * reading.sign, base * reading.sign)
