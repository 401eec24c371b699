"""Do cheap figures order sources as a linear probe does? Rank correlations within data sets, over many sources."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from vgbench import stats
from vgbench.results import Ci, Correlation
from vgbench_leaderboard.aggregate.figures import (
    Figure,
    Halves,
    Values,
    described,
    gains_of,
    of_readings,
    on_halves,
    row_names,
)
from vgbench_leaderboard.aggregate.readings import NAMED, ItemsOf, Suite, Way, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = "2"  # 2: best_test_epoch is called that, and has no halves; sets too small for a figure are left out by name
TARGET = "linear-probe"  # GenBench's gold standard
GAIN_OF, SIMILARITY = "cler", "mts"  # ΔCLER, and mean text similarity, which GenBench holds it against
LEAST_ROWS = 5  # assumed: with 4 rows even a perfect order comes about by chance once in 24 times


def correlations(suite: Suite, items_of: ItemsOf) -> list[Correlation]:
    """Correlate every figure with the linear probe, in every combination of encoders.

    Each figure first as it stands; then, where both have values per item, each on its own half of the test items and
    the other way round, since two figures on the same items share what those items say by accident. A pair of two
    encoders shares no features either. Last, ΔCLER against the mean text similarity of data sets, within each row.
    """
    halves = {way: on_halves(suite, way, items_of) for way in suite.ways if not way.is_zeroshot}
    targets = {way: of_readings(suite, way) for way in suite.ways if _is(way, TARGET)}
    ways = {way: of_readings(suite, way) for way in suite.ways if not way.is_zeroshot and way not in targets}
    metrics = [figure for figure in described(suite) if figure.name.partition("@")[0] != SIMILARITY]
    similarities = [figure for figure in described(suite) if figure.name.partition("@")[0] == SIMILARITY]
    found = []
    for target_way, target in targets.items():
        found += [_correlation(suite, figure, target, {}) for figure in ways.values()]
        found += [_correlation(suite, figure, target, _withheld(figure)) for figure in metrics]
        found += [_on_halves(suite, way, target_way, halves) for way in ways]
    found += [
        _within_rows(suite, mts, gains_of(suite, way)) for way in ways if _is(way, GAIN_OF) for mts in similarities
    ]
    return found


def scatter(suite: Suite, found: Correlation) -> dict[str, list[tuple[str, float, float]]]:
    """Return (row, figure, target) of each data set, for the rows that have both: what a plot shows."""
    figures = [*(of_readings(suite, way) for way in suite.ways), *described(suite)]
    by_name = {(figure.name, figure.encoder): figure.values for figure in figures}
    x, y = by_name[found.figure, found.encoder], by_name[found.target, found.target_encoder]
    return {
        dataset: [
            (row, x[row, dataset], y[row, dataset]) for row in suite.rows if {(row, dataset)} <= x.keys() & y.keys()
        ]
        for dataset in suite.datasets
    }


def _is(way: Way, readout: str) -> bool:
    return way.readout.partition(":")[0] == readout


# ── Correlations ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Complete:
    """The rows that have both figures in every data set, and the others by name."""

    rows: tuple[str, ...]
    left_out: tuple[str, ...]
    reason: str | None


def _complete(suite: Suite, datasets: Sequence[str], figure: Figure, target: Figure) -> _Complete:
    rows, out, lacks = [], [], []
    for row, name in zip(suite.rows, row_names(suite.rows), strict=True):
        pairs = [(row, dataset) for dataset in datasets]
        if not any(pair in figure.cells or pair in target.cells for pair in pairs):
            continue  # a row of other tasks
        missing = [pair for pair in pairs if pair not in figure.values or pair not in target.values]
        if missing:
            out.append(name)
            why = next((of.whys[missing[0]] for of in (figure, target) if missing[0] in of.whys), "no cell")
            lacks.append(f"{name} × {missing[0][1]} ({why})")
        else:
            rows.append(row)
    few = f"{len(rows)} sources have both in every data set, at least {LEAST_ROWS} are needed"
    reason = None if len(rows) >= LEAST_ROWS else "; ".join(filter(None, [few, named(lacks)]))
    return _Complete(tuple(rows), tuple(out), reason)


def _array(values: Values, rows: Sequence[str], datasets: Sequence[str]) -> NDArray[np.float64]:
    import numpy as np

    return np.array([[values[row, dataset] for dataset in datasets] for row in rows], np.float64)


def _withheld(figure: Figure) -> dict[str, str]:
    """Return the data sets in which every row withholds the figure, and why: too small for its number of images."""
    have = {dataset for _, dataset in figure.values}
    return {dataset: why for (_, dataset), why in figure.whys.items() if dataset not in have}


def _correlation(suite: Suite, figure: Figure, target: Figure, withheld: Mapping[str, str]) -> Correlation:
    """Correlate over the data sets, but for those in which nobody has the figure; these are named."""
    have = [d for d in suite.datasets if d not in withheld]
    complete = _complete(suite, have, figure, target)
    if not have:
        complete = _Complete((), (), f"withheld in every data set: {next(iter(withheld.values()))}")
    found = None
    if complete.reason is None:
        x, y = (_array(of.values, complete.rows, have) for of in (figure, target))
        found = stats.mean_spearman(x, y, [cluster_of(row) for row in complete.rows])
    left_out = [f"{d} ({withheld[d]})" for d in suite.datasets if d in withheld]
    complete = _Complete(complete.rows, (*complete.left_out, *left_out), complete.reason)
    return _record(suite, figure, target, complete, found, have)


def _within_rows(suite: Suite, mts: Figure, gains: Figure) -> Correlation:
    """Correlate over data sets within each row, and resample the data sets."""
    complete = _complete(suite, suite.datasets, mts, gains)
    found = None
    if len(suite.datasets) < LEAST_ROWS:
        reason = f"{len(suite.datasets)} data sets, at least {LEAST_ROWS} are needed"
        complete = _Complete(complete.rows, complete.left_out, reason)
    elif complete.rows:
        x, y = (_array(of.values, complete.rows, suite.datasets).T for of in (mts, gains))
        found = stats.mean_spearman(x, y, suite.datasets)
        complete = _Complete(complete.rows, complete.left_out, None)
    names = row_names(complete.rows)
    return _record(suite, mts, gains, complete, found, names, within="row")


def _on_halves(suite: Suite, way: Way, target: Way, by_way: Mapping[Way, Halves]) -> Correlation:
    """Correlate on halves of the test items, both ways round; over the data sets that have values per item."""
    halves = by_way[way], by_way[target]
    figure, goal = of_readings(suite, way), of_readings(suite, target)
    have = [d for d in suite.datasets if all(any(dataset == d for _, dataset in of[0]) for of in halves)]
    figures = [
        (Figure(figure.name, figure.encoder, a, figure.cells, {}), Figure(goal.name, goal.encoder, b, goal.cells, {}))
        for a, b in ((halves[0][0], halves[1][1]), (halves[0][1], halves[1][0]))
    ]
    complete = _complete(suite, have, *figures[0])
    if not have:
        complete = _Complete((), (), "no data set has values per item")
    found = None
    if complete.reason is None:
        import numpy as np

        arrays = [[_array(of.values, complete.rows, have) for of in pair] for pair in figures]
        x, y = (np.concatenate([pair[i] for pair in arrays], axis=1) for i in (0, 1))  # (R, 2 D): the mean over both
        twice = stats.mean_spearman(x, y, [cluster_of(row) for row in complete.rows])
        by_set = tuple(fmean(twice.by_set[i :: len(have)]) for i in range(len(have)))
        found = stats.RankCorrelation(twice.value, by_set, twice.ci, twice.undefined)
    left_out = [f"{d} (no value per item)" for d in suite.datasets if d not in have]
    complete = _Complete(complete.rows, (*complete.left_out, *left_out), complete.reason)
    return _record(suite, figure, goal, complete, found, have, halves=True)


def cluster_of(row: str) -> str:
    """Return what is resampled: a source with its options; its rows with other numbers of images go with it."""
    return json.dumps(json.loads(row)[:3], sort_keys=True)


def _record(
    suite: Suite,
    figure: Figure,
    target: Figure,
    complete: _Complete,
    found: stats.RankCorrelation | None,
    sets: Sequence[str],
    *,
    within: Literal["dataset", "row"] = "dataset",
    halves: bool = False,
) -> Correlation:
    by_set = dict(zip(sets, found.by_set, strict=True)) if found else {}
    undefined = [name for name, rho in by_set.items() if math.isnan(rho)]
    reason = complete.reason
    if undefined:
        reason = f"no order in {', '.join(undefined[:NAMED])}: a figure is the same everywhere, or of too few"
    ci = found.ci if found and not reason else None
    clusters = {cluster_of(row) for row in complete.rows} if within == "dataset" else set(suite.datasets)
    places = [(row, dataset) for row in complete.rows for dataset in suite.datasets]
    used = {digest for of in (figure, target) for place in places for digest in of.cells.get(place, ())}
    return Correlation(
        version=VERSION,
        suite=suite.name,
        figure=figure.name,
        encoder=figure.encoder,
        target=target.name,
        target_encoder=target.encoder,
        within=within,
        halves=halves,
        rho=found.value if found and not reason else None,
        ci=Ci(lo=ci.lo, hi=ci.hi, level=ci.level, method=ci.method) if ci else None,
        by_set={name: rho for name, rho in by_set.items() if not math.isnan(rho)},
        n_rows=len(complete.rows),
        clusters=len(clusters),
        left_out=list(complete.left_out),
        undefined=found.undefined if found else 0,
        cells=sorted(used),
        reason=reason,
    )
