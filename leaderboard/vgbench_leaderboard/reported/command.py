"""``vgbench leaderboard reported``: what papers print, by task; and the same below a run's own table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from vgbench.commands.answers import Reported, ReportedAnswer
from vgbench.commands.output import write, write_columns, write_json
from vgbench.errors import unknown
from vgbench.results import Leaderboard
from vgbench_leaderboard.reported.entries import Found, published, suite_of

if TYPE_CHECKING:
    from vgbench.commands import Context

MARK = "reported"  # ahead of every line, so that none is taken for a measured row


def call(args: argparse.Namespace, context: Context) -> int:
    found = published()
    for task in args.tasks:
        if task not in found.tasks:
            raise unknown("task with reported figures", task, found.tasks)
    if args.tasks:
        found = found.of(args.tasks)
    if args.json:
        answer = ReportedAnswer(papers=list(found.papers), entries=list(found.entries), means=found.means())
        write_json(answer.model_dump(mode="json", by_alias=True))
        return 0
    show(found)
    return 0


def show_beside(board: Leaderboard) -> None:
    """Print what papers report of a run's tasks, below its own table."""
    tasks = sorted({column.task for column in board.columns})
    found = published().of(tasks)
    if found.entries:
        show(found)
    else:
        write(f"no paper's figures are kept for: {', '.join(tasks) or 'a run without a score'}")


def show(found: Found) -> None:
    """Print each paper's tables, and beside their rows the means that are recomputed from them."""
    means = {(one.paper, one.row, one.backbone, one.suite): one.value for one in found.means()}
    for paper in found.papers:
        write(f"{MARK}, not measured here: {paper.citation}")
        entries = [one for one in found.entries if one.paper == paper.name]
        for (table, backbone), group in groupby(entries, key=lambda one: (_table(one), one.backbone)):
            rows = list(group)
            write(f"{MARK}: {table}, {backbone}; {rows[0].provenance}")
            write_columns(_lines(rows, means))
        for text in paper.notes:
            write(f"{MARK}: {text}")


def _lines(entries: Sequence[Reported], means: Mapping[tuple[str, str, str, str], float]) -> list[tuple[str, ...]]:
    """Return a table's lines: a line for each row of the paper, or for each column where there are more of these."""
    first, digits = entries[0], _digits(entries)
    heads = list(dict.fromkeys(_head(one) for one in entries))
    named = dict.fromkeys(suite_of(one.task) for one in entries)
    suites = [suite for suite in named if (first.paper, first.row, first.backbone, suite) in means]
    columns = [["row", "source", *heads, *(f"{suite}, mean recomputed here %" for suite in suites)]]
    for row in dict.fromkeys(one.row for one in entries):
        mine = [one for one in entries if one.row == row]
        cells = {_head(one): _value(one, digits) for one in mine}
        averages = [f"{100 * means[first.paper, row, first.backbone, suite]:.2f}" for suite in suites]
        columns.append([row, _source(mine[0]), *(cells.get(head, "–") for head in heads), *averages])
    lines = columns if len(heads) <= len(columns) else list(zip(*columns, strict=True))
    return [(MARK, *line) for line in lines]


def _table(one: Reported) -> str:
    return one.from_.rpartition(", ")[0]


def _head(one: Reported) -> str:
    options = ",".join(f"{name}={value}" for name, value in one.options.items())
    task = f"{one.task}:{options}" if options else one.task
    return f"{task} {one.metric} % {'↑' if one.higher_is_better else '↓'}"


def _digits(entries: Sequence[Reported]) -> int:
    """Return how many digits of a percent the table prints: fractions lose the zeros at their ends."""
    return 1 if all(abs(1000 * one.value - round(1000 * one.value)) < 1e-9 for one in entries) else 2


def _value(one: Reported, digits: int) -> str:
    value = f"{100 * one.value:.{digits}f}"
    return value if one.plus_minus is None else f"{value} ± {100 * one.plus_minus:.{digits}f}"


def _source(one: Reported) -> str:
    if one.source is None:
        return "–"
    options = ",".join(f"{name}={value}" for name, value in {**one.source_options, **one.row_options}.items())
    return f"{one.source}:{options}" if options else one.source
