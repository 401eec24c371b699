"""A leaderboard as a table for the terminal: percent, intervals, ties, what does not compare."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from vgbench.commands.suites import folded, suite_notes, write_suite
from vgbench.metrics.declared import BEST_TEST_EPOCH, NO_INTERVAL

if TYPE_CHECKING:
    from rich.console import Console

    from vgbench.results import Column, Leaderboard, Row, RowValue

PERCENT = " %"
MOST_COLUMNS = 6  # beyond, a board is printed turned round
READOUT = "readout"
PIPED_WIDTH = 240  # columns when stdout is no terminal: a pipe cuts nothing off
MOST_LINES = 3  # of cells that were not scored for one reason, before they share a line
TIES = "rows that share a letter in a column are not shown to differ (Holm, 5 % a column)"


def write_board(board: Leaderboard, *, whole: bool = False) -> None:
    """Print one row for each source, one column for each task column, and what could not be scored.

    A suite whose data sets are read out in several ways is a table of means, unless the ``whole`` board is wanted.
    """
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    suites = [] if whole else folded(board)
    names = [row_name(row, board.rows) for row in board.rows]
    for suite in suites:
        write_suite(console, board, suite, names)
        for line in suite_notes(board, suite, names):
            print_note(line, width=console.width)
    rest = _without(board, {task for suite in suites for task in board.suites[suite]})
    if rest.columns or not suites:
        _write_table(console, rest)
    for line in notes(rest):
        print_note(line, width=console.width)
    if suites:
        print_note("every data set by itself: vgbench leaderboard show RUN_DIR --all", width=console.width)


def _without(board: Leaderboard, tasks: set[str]) -> Leaderboard:
    """Return a board without the columns of some tasks, and without rows that have no other."""
    columns = [column for column in board.columns if column.task not in tasks]
    left = {column.digest for column in columns}
    rows = [row for row in board.rows if left & row.values.keys()] if tasks else board.rows
    kept = [
        row.model_copy(update={"values": {c: value for c, value in row.values.items() if c in left}}) for row in rows
    ]
    return board.model_copy(update={"columns": columns, "rows": kept})


def _write_table(console: Console, board: Leaderboard) -> None:
    from rich.markup import escape
    from rich.table import Table

    if board.rows:
        table = Table(header_style="bold")
        table.add_column("source", overflow="fold", min_width=8)  # a wide table does not take its rows' names
        has_images = any(row.images is not None for row in board.rows)  # none: the tasks use different numbers
        if has_images:
            table.add_column("images", justify="right", no_wrap=True)
        names = column_names(board.columns)
        if len(board.columns) > max(MOST_COLUMNS, len(board.rows)):
            _write_turned(console, board, names)
            return
        cells = []
        for column in board.columns:
            arrow = "↑" if column.higher_is_better else "↓"
            title = escape(f"{names[column.digest]}\n{column.metric}{PERCENT if is_share(column) else ''} {arrow}")
            table.add_column(title, no_wrap=True)  # padded by _aligned: letters stand behind some numbers only
            cells.append(_aligned([row.values.get(column.digest) for row in board.rows], column))
        for row, *values in zip(board.rows, *cells, strict=True):
            images = [_images(row)] if has_images else []
            table.add_row(escape(row_name(row, board.rows)), *images, *values)
        console.print(table)


def _write_turned(console: Console, board: Leaderboard, names: Mapping[str, str]) -> None:
    """Print a board of many columns with one line for each, and the sources side by side."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("task", overflow="fold")
    for row in board.rows:
        table.add_column(escape(row_name(row, board.rows)), no_wrap=True)
    table.add_column("chance", justify="right", no_wrap=True)
    for column in board.columns:
        arrow = "↑" if column.higher_is_better else "↓"
        title = f"{names[column.digest]}  {column.metric}{PERCENT if is_share(column) else ''} {arrow}"
        values = [_aligned([row.values.get(column.digest)], column)[0] for row in board.rows]
        table.add_row(escape(title), *values, "" if column.chance is None else shown(column.chance, column))
    console.print(table)


class HasUnit(Protocol):
    """A column of values, or a comparison of two."""

    @property
    def unit(self) -> str: ...


def is_share(column: HasUnit) -> bool:
    """Say whether a column's values are fractions, shown in percent."""
    return column.unit == "fraction"


def shown(value: float, column: HasUnit) -> str:
    """Return a value as a table shows it: percent with one digit, or three significant digits in its own unit."""
    return f"{100 * value:.1f}" if is_share(column) else f"{value:.3g}"


def signed(value: float, column: HasUnit) -> str:
    """Return a difference likewise, with its sign."""
    return f"{100 * value:+.1f}" if is_share(column) else f"{value:+.3g}"


def notes(board: Leaderboard) -> list[str]:
    """Return what must be said under a table: chance, what intervals cover, ties, failed and blocked cells."""
    names = column_names(board.columns)
    chances = [
        f"{names[c.digest]} {shown(c.chance, c)}{PERCENT if is_share(c) else ''}"
        for c in board.columns
        if c.chance is not None
    ]
    is_turned = len(board.columns) > max(MOST_COLUMNS, len(board.rows))  # then each line has its own
    lines = [f"chance: {', '.join(chances)}"] if chances and not is_turned else []
    values = [value for row in board.rows for value in row.values.values()]
    runs = sorted({value.runs for value in values if value.runs > 1})
    if runs:
        lines.append(f"×{' ×'.join(map(str, runs))}: training runs; these intervals cover training and test items")
    if any(value.tie_groups for value in values):
        lines.append(TIES)
    if any(column.metric == BEST_TEST_EPOCH for column in board.columns):
        lines.append(NO_INTERVAL)
    if any(value.missing for value in values):
        lines.append("!: some of its runs failed, so it takes part in no comparison")
    if any(value.controls_hold is False for value in values):
        lines.append("°: no better than the same fit on permuted labels: nothing was learned that can be seen")
    real = [names[column.digest] for column in board.columns if column.uses_real_labels]
    if real:
        lines.append(f"learns from real labels beside the source's images: {', '.join(real)}")
    unpinned = [row_name(row, board.rows) for row in board.rows if row.unpinned]
    if unpinned:
        lines.append(f"unpinned: {', '.join(unpinned)}: images came over the network; another run may get others")
    lines += dict.fromkeys(row.note for row in board.rows if row.note)
    return lines + _unscored(board)


def _unscored(board: Leaderboard) -> list[str]:
    """Return a line for each failed or blocked cell; one for many of a source that share their reason."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for item in board.unscored:
        alike.setdefault((item["status"], item["source"], item["reason"]), []).append(item["task"])
    return [
        f"{status}: {source} × {task}: {reason}"
        for (status, source, reason), tasks in alike.items()
        for task in (tasks if len(tasks) <= MOST_LINES else [f"{len(tasks)} tasks, {tasks[0]} first"])
    ]


def print_note(text: str, *, width: int) -> None:
    """Print a line, broken between words on a terminal and not at all in a pipe."""
    if sys.stdout.isatty():
        text = textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    sys.stdout.write(text + "\n")


def column_names(columns: list[Column]) -> dict[str, str]:
    """Name each column by its task and those options in which it differs from another column of that task.

    How a fixed encoder was read out is always said: without it a name does not tell what was measured.
    """
    names = {}
    for column in columns:
        others = [other for other in columns if other.task == column.task and other is not column]
        differing = [
            k for k, v in column.options.items() if k == READOUT or any(other.options.get(k) != v for other in others)
        ]
        options = ",".join(f"{key}={column.options[key]}" for key in differing)
        names[column.digest] = f"{column.task}:{options}" if options else column.task
    return names


def row_name(row: Row, rows: list[Row]) -> str:
    """Name a row by its source and those options in which it differs from another row of that source.

    A value that more than half of these rows have is left out: names stay different, and say what is special.
    """
    options = {**row.options, **row.row_options}
    every = [{**other.options, **other.row_options} for other in rows if other.source == row.source]

    def is_special(key: str) -> bool:
        same = sum(other.get(key) == options[key] for other in every)
        return same < len(every) and 2 * same <= len(every)

    text = ",".join(f"{key}={options[key]}" for key in options if is_special(key))
    return f"{row.source}:{text}" if text else row.source


def tie_letters(value: RowValue) -> str:
    """Return a value's tie groups as letters, those beyond z as numbers: ``a``, ``ab``, ``(27)``."""
    return "".join(chr(96 + group) if group <= 26 else f"({group})" for group in value.tie_groups or ())


def _images(row: Row) -> str:
    if row.images is None:
        return "–"
    return f"{row.images:,}" + (f" (−{row.shortfall:,})" if row.shortfall else "")


def _aligned(values: list[RowValue | None], column: Column) -> list[str]:
    """Return a column's cells, so padded that values, runs, intervals and letters stand under each other."""
    parts = [_parts(value, column) for value in values]
    widths = [max(len(part[i]) for part in parts) for i in range(4)]
    cells = []
    for (value, runs, ci, letters), given in zip(parts, values, strict=True):
        if given is None or given.value is None:
            cells.append("–")
            continue
        around = " ".join(f"{text:>{width}}" for text, width in zip((runs, ci), widths[1:], strict=False) if width)
        cell = f"{value:>{widths[0]}}" + (f" [dim]{around}[/dim]" if around else "")
        cells.append(cell + (f" {letters:<{widths[3]}}" if widths[3] else ""))
    return cells


def _parts(value: RowValue | None, column: Column) -> tuple[str, str, str, str]:
    if value is None or value.value is None:
        return "", "", "", ""
    runs = (f"×{value.runs}" if value.runs > 1 else "") + ("!" if value.missing else "")
    ci = f"{shown(value.ci.lo, column)}–{shown(value.ci.hi, column)}" if value.ci else ""
    untaught = "°" if value.controls_hold is False else ""
    return f"{shown(value.value, column)}{untaught}", runs, ci, tie_letters(value)
