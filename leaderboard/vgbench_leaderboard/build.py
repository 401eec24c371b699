"""Rows and columns from cells: a pure function, so that anyone can recompute a leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from vgbench import results
from vgbench.results import (
    Aggregates,
    Cell,
    Items,
    Leaderboard,
    Row,
    RowValue,
    column_of,
    items_by_run,
    row_of,
    training_runs,
)
from vgbench.types import canonical_json
from vgbench_leaderboard.aggregate.cost import costs, measured, published_prices
from vgbench_leaderboard.aggregate.gain import over_suite
from vgbench_leaderboard.aggregate.readings import Suite, suite_of
from vgbench_leaderboard.aggregate.strategy import strategies
from vgbench_leaderboard.opened import open_runs
from vgbench_leaderboard.ties import row_interval, with_tie_groups

ONE_RUN = "one training run per source: intervals cover the test items, not the training; no ranks"


def build_run(run_dir: Path) -> Path:
    """Write a run's ``leaderboard.json`` from its cells; return where it lies."""
    run = open_runs([run_dir])
    board = build(run.cells, run.items_of, suites=run.suites)
    seconds = {cell.digest: round(sum(run.observed_of(cell).get("seconds", {}).values()), 3) for cell in run.cells}
    suites = suites_of(run.cells, run.suites)
    # nobody has said here what an hour costs: seconds, no USD
    took = [one.model_dump(mode="json") for suite in suites for one in measured(suite, (), run.production_of)]
    observed = {"seconds": seconds, "cost": took}
    return results.write_leaderboard(run_dir, board.model_copy(update={"observed": observed}))


@dataclass(frozen=True, slots=True)
class _Place:
    """A row's place in one column: its scored cells as training runs, and how many of its cells have no score."""

    runs: list[list[Cell]]
    missing: int
    items: Items | None


def build(
    cells: Iterable[Cell],
    items_of: Callable[[Cell], Items | None] = lambda cell: None,
    *,
    suites: Mapping[str, Sequence[str]] | None = None,
) -> Leaderboard:
    """Return the leaderboard of some cells, the same whatever their order.

    Cells of one source, source options and row options make a row; cells of one column digest make a column; those
    that differ in seeds only are averaged. ``items_of`` gives a cell's values per item; it is asked only where there
    are at least two training runs, whose intervals and tie groups need them, and for gains over a suite. ``suites``
    are the tasks by suite over which rows are averaged.
    """
    cells = sorted(cells, key=lambda cell: cell.digest)
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(row_of(cell), []).append(cell)
    columns = {cell.column: column_of(cell) for cell in cells if cell.column and _is_scored(cell)}
    ordered = [groups[key] for key in row_keys(cells)]
    places = [_places(group, items_of) for group in ordered]
    rows = [_row(group, place) for group, place in zip(ordered, places, strict=True)]
    return Leaderboard(
        columns=sorted(columns.values(), key=lambda c: (c.task, canonical_json(c.options), c.digest)),
        rows=with_tie_groups(rows, [{c: p.items for c, p in place.items()} for place in places], columns),
        suites={name: list(tasks) for name, tasks in sorted((suites or {}).items())},
        aggregates=_aggregates(suites_of(cells, suites or {}), items_of),
        unscored=[
            {"source": cell.source.name, "task": cell.task.name, "status": cell.status, "reason": cell.reason or ""}
            for cell in cells
            if cell.status != "ok"
        ],
        observed={},
    )


def row_keys(cells: Iterable[Cell]) -> list[str]:
    """Return the keys of the rows of some cells, in the rows' order: those that have a score."""
    return sorted({row_of(cell) for cell in cells if _is_scored(cell)})


def suites_of(cells: Sequence[Cell], suites: Mapping[str, Sequence[str]]) -> list[Suite]:
    """Return the readings of each suite, by its name."""
    return [suite_of(name, tasks, cells, row_keys(cells)) for name, tasks in sorted(suites.items())]


def _aggregates(suites: Iterable[Suite], items_of: Callable[[Cell], Items | None]) -> Aggregates:
    """Return what speaks about rows; correlations speak about figures, and are asked for by themselves."""
    found = Aggregates()
    for suite in suites:
        means = over_suite(suite, items_of)
        found = Aggregates(
            means=[*found.means, *means],
            strategies=[*found.strategies, *strategies(suite)],
            costs=[*found.costs, *costs(suite, means, published_prices())],
        )
    return found


def _is_scored(cell: Cell) -> bool:
    return cell.status == "ok" and cell.main is not None and cell.column is not None


def _places(group: list[Cell], items_of: Callable[[Cell], Items | None]) -> dict[str, _Place]:
    """Return a row's places by column."""
    places: dict[str, _Place] = {}
    for column in sorted({cell.column for cell in group if cell.column and _is_scored(cell)}):
        there = [cell for cell in group if cell.column == column]
        # options that a graph does not read make further cells of one score: it counts once
        once = {(cell.nodes["score"], canonical_json(cell.seeds)): cell for cell in there if _is_scored(cell)}
        scored = list(once.values())
        runs = training_runs(scored)
        items = items_by_run(runs, {cell.digest: items_of(cell) for cell in scored}) if len(runs) > 1 else None
        places[column] = _Place(runs, sum(not _is_scored(cell) for cell in there), items)
    return places


def _row(group: list[Cell], places: dict[str, _Place]) -> Row:
    first = group[0]
    counts = {(cell.counts.images, sum(cell.counts.shortfall.values())) for cell in group if cell.counts}
    images, shortfall = next(iter(counts)) if len(counts) == 1 else (None, 0)
    backbone = first.task.row_options.get("backbone")
    return Row(
        source=first.source.name,
        distribution=first.source.distribution,
        options=first.source.options,
        backbone=str(backbone) if backbone is not None else None,
        row_options=first.task.row_options,
        sees=first.source.sees,
        unpinned=first.source.unpinned,
        images=images,
        shortfall=shortfall,
        values={column: _value(place) for column, place in places.items()},
        tier="self-computed",
        cells=[cell.digest for cell in group if _is_scored(cell)],
        note=_note([len(place.runs) for place in places.values()]),
    )


def _note(runs: list[int]) -> str | None:
    one = runs.count(1)
    if one in (0, len(runs)):
        return ONE_RUN if one else None
    return f"one training run in {one} of {len(runs)} columns: intervals there cover the test items only; no ranks"


def _value(place: _Place) -> RowValue:
    cells = [cell for run in place.runs for cell in run]
    mains = [cell.main for cell in cells if cell.main is not None]
    by_run = [[cell.main.value for cell in run if cell.main and cell.main.value is not None] for run in place.runs]
    gated = [control.holds for cell in cells for control in cell.controls if control.gated]
    ci = mains[0].ci if len(mains) == 1 else None
    return RowValue(
        metric=mains[0].name,
        value=fmean(fmean(run) for run in by_run if run) if any(by_run) else None,
        ci=row_interval(place.items) if place.items is not None else ci,
        n=mains[0].n,
        runs=len(place.runs),
        missing=place.missing,
        by_seed=[value for run in by_run for value in run],
        tie_groups=None,
        controls_hold=all(gated) if gated else None,
    )
