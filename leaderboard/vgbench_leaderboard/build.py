"""Rows and columns from cells: a pure function, so that anyone can recompute a leaderboard."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from vgbench import results
from vgbench.results import Cell, Column, Leaderboard, Row, RowValue
from vgbench.types import canonical_json

ONE_RUN = "one training run per source: intervals cover the test items, not the training; no ranks"


def build_run(run_dir: Path) -> Path:
    """Write a run's ``leaderboard.json`` from its cells; return where it lies."""
    cells = results.read_cells(run_dir)
    seconds: dict[str, float] = {}
    for cell in cells:
        observed = results.read_observed(run_dir / "cells" / cell.digest)
        seconds[cell.digest] = round(sum(observed.get("seconds", {}).values()), 3)
    board = build(cells).model_copy(update={"observed": {"seconds": seconds}})
    return results.write_leaderboard(run_dir, board)


def build(cells: Iterable[Cell]) -> Leaderboard:
    """Return the leaderboard of some cells, the same whatever their order.

    Cells of one source, source options and row options make a row; cells of one column digest make a column; those
    that differ in seeds only are averaged.
    """
    cells = sorted(cells, key=lambda cell: cell.digest)
    scored = [cell for cell in cells if cell.status == "ok" and cell.main is not None]
    columns = {cell.column: _column(cell) for cell in scored if cell.column}
    groups: dict[str, list[Cell]] = {}
    for cell in scored:
        source = [cell.source.name, cell.source.distribution, cell.source.options, cell.task.row_options]
        groups.setdefault(canonical_json(source), []).append(cell)
    return Leaderboard(
        columns=sorted(columns.values(), key=lambda c: (c.task, canonical_json(c.options), c.digest)),
        rows=[_row(group) for _, group in sorted(groups.items())],
        aggregates={},
        unscored=[
            {"source": cell.source.name, "task": cell.task.name, "status": cell.status, "reason": cell.reason or ""}
            for cell in cells
            if cell.status != "ok"
        ],
        observed={},
    )


def _column(cell: Cell) -> Column:
    main = cell.main
    assert main is not None and cell.column is not None
    return Column(
        digest=cell.column,
        task=cell.task.name,
        version=cell.task.version,
        options=cell.task.options,
        metric=main.name,
        higher_is_better=main.higher_is_better,
        chance=main.chance,
    )


def _row(group: list[Cell]) -> Row:
    first = group[0]
    by_column: dict[str, list[Cell]] = {}
    for cell in group:
        assert cell.column is not None
        by_column.setdefault(cell.column, []).append(cell)
    counts = {(cell.counts.images, sum(cell.counts.shortfall.values())) for cell in group if cell.counts}
    images, shortfall = next(iter(counts)) if len(counts) == 1 else (None, 0)
    train_seeds = {cell.seeds["train"] for cell in group if "train" in cell.seeds}
    backbone = first.task.row_options.get("backbone")
    return Row(
        source=first.source.name,
        distribution=first.source.distribution,
        options=first.source.options,
        backbone=str(backbone) if backbone is not None else None,
        row_options=first.task.row_options,
        sees=first.source.sees,
        images=images,
        shortfall=shortfall,
        values={column: _value(cells) for column, cells in sorted(by_column.items())},
        tie_group=None,
        tier="self-computed",
        cells=[cell.digest for cell in group],
        note=ONE_RUN if len(train_seeds) <= 1 else None,
    )


def _value(cells: list[Cell]) -> RowValue:
    ordered = sorted(cells, key=lambda cell: canonical_json(cell.seeds))
    mains = [cell.main for cell in ordered if cell.main is not None]
    values = [main.value for main in mains if main.value is not None]
    gated = [control.holds for cell in cells for control in cell.controls if control.gated]
    return RowValue(
        metric=mains[0].name,
        value=fmean(values) if values else None,
        ci=mains[0].ci if len(mains) == 1 else None,
        n=mains[0].n,
        by_seed=values,
        controls_hold=all(gated) if gated else None,
    )
