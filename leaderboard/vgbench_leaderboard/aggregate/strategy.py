"""The best strategy for each data set: a source's options chosen anew, on validation or, as an upper bound, on test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from vgbench.metrics.declared import BEST_TEST_EPOCH
from vgbench.results import Strategy
from vgbench_leaderboard.aggregate.gain import gain_of
from vgbench_leaderboard.aggregate.readings import TEST, VALIDATION, Reading, Suite, Way, digests, missing, named

VERSION = "2"  # 2: none is chosen by a best epoch
LOOKED = f"{BEST_TEST_EPOCH} looked at the answers: no figure to choose by, nor what the chosen one would reach"


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one source with the same row options, that differ in the source's options: strategies to choose from."""

    source: str
    row_options: Mapping[str, Any]
    rows: tuple[int, ...]


def strategies(suite: Suite) -> list[Strategy]:
    """Return what each source with several rows reaches by the best of them for each data set.

    ``best`` chooses on the data set's real validation split: cells of the same tasks with the option ``split=val``.
    Without them it is refused, for a choice on test is an ``oracle``: the maximum of noisy figures, above what any
    strategy has. It is refused of a probe's best epoch too, which is such a choice whatever the split. Source: "best
    strategy" per data set in the headline figure of GenBench (arXiv 2307.13697), which does not say what it was chosen
    on.
    """
    return [
        _strategy(suite, group, way, split)
        for group in _groups(suite)
        for way in suite.ways
        if not way.is_zeroshot
        for split in (VALIDATION, TEST)
    ]


def without_choice(suite: Suite) -> str | None:
    """Say which sources have one setting of their options only, among which nothing is chosen; None of none."""
    names = list(dict.fromkeys(group.source for group in _groups(suite, least=1) if len(group.rows) == 1))
    if not names:
        return None
    needs = f"a source needs two settings of an option or more, as in --source {names[0]}:NAME=A {names[0]}:NAME=B"
    return f"{suite.name}: nothing to choose between for {', '.join(names)}: {needs}"


def _groups(suite: Suite, *, least: int = 2) -> list[_Group]:
    read = {row for row, *_ in suite.readings}
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(suite.rows):
        name, distribution, _, row_options = json.loads(row)
        if row in read:
            groups.setdefault(json.dumps([name, distribution, row_options]), []).append(at)
    found = [(json.loads(key), rows) for key, rows in groups.items() if len(rows) >= least]
    return [_Group(name, row_options, tuple(rows)) for (name, _, row_options), rows in found]


def _strategy(suite: Suite, group: _Group, way: Way, split: str) -> Strategy:
    label: Literal["best", "oracle"] = "best" if split == VALIDATION else "oracle"
    judged = {at: suite.of(suite.rows[at], way, split) for at in group.rows}
    tested = {at: suite.of(suite.rows[at], way) for at in group.rows}
    lacks = [
        f"{text} in {split} of row {at}"
        for found in (judged, tested)
        for at, of in found.items()
        for text in missing(of)
    ]
    reason: str | None
    if split == VALIDATION and way.is_best_epoch:
        reason = LOOKED
    elif split == VALIDATION and not any(reading for of in judged.values() for reading in of.values()):
        reason = f"no cell was scored on the real validation split (option split={VALIDATION})"
    else:
        reason = named(list(dict.fromkeys(lacks)))
    chosen = {} if reason else {dataset: _best(judged, dataset) for dataset in suite.datasets}
    kept = {dataset: tested[at][dataset] for dataset, at in chosen.items()}
    values = [reading.value for reading in kept.values() if reading and reading.value is not None]
    used: list[Reading | None] = [r for of in (*judged.values(), *tested.values()) for r in of.values()]
    return Strategy(
        version=VERSION,
        suite=suite.name,
        source=group.source,
        row_options=dict(group.row_options),
        readout=way.readout,
        encoder=way.encoder,
        rows=list(group.rows),
        chosen_on="validation" if split == VALIDATION else "test",
        label=label,
        value=fmean(values) if values else None,
        gain=gain_of(suite, kept).value if kept else None,
        chosen=chosen,
        cells=digests(used),
        reason=reason,
    )


def _best(judged: Mapping[int, Mapping[str, Reading | None]], dataset: str) -> int:
    """Return the row that reads a data set best; of equal ones the first."""

    def goodness(at: int) -> float:
        reading = judged[at][dataset]
        assert reading is not None and reading.value is not None
        return reading.sign * reading.value

    return max(judged, key=lambda at: (goodness(at), -at))
