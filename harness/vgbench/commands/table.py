"""A leaderboard as a table for the terminal: percent, intervals, what does not compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgbench.results import Column, Leaderboard, Row, RowValue


def write_board(board: Leaderboard) -> None:
    """Print one row for each source, one column for each task column, and what could not be scored."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if board.rows:
        table = Table(header_style="bold")
        table.add_column("source")
        table.add_column("images", justify="right")
        names = column_names(board.columns)
        for column in board.columns:
            arrow = "↑" if column.higher_is_better else "↓"
            table.add_column(escape(f"{names[column.digest]}\n{column.metric} % {arrow}"), justify="right")
        for row in board.rows:
            values = [_value(row.values.get(column.digest)) for column in board.columns]
            table.add_row(escape(_source(row, board.rows)), _images(row), *values)
        console.print(table)
        for column in board.columns:
            if column.chance is not None:
                console.print(f"{names[column.digest]}: chance {100 * column.chance:.1f} %", markup=False)
        for line in dict.fromkeys(row.note for row in board.rows if row.note):
            console.print(line, markup=False)
    for item in board.unscored:
        console.print(f"{item['status']}: {item['source']} × {item['task']}: {item['reason']}", markup=False)


def column_names(columns: list[Column]) -> dict[str, str]:
    """Name each column by its task and those options in which it differs from another column of that task."""
    names = {}
    for column in columns:
        others = [other for other in columns if other.task == column.task and other is not column]
        differing = [k for k, v in column.options.items() if any(other.options.get(k) != v for other in others)]
        options = ",".join(f"{key}={column.options[key]}" for key in differing)
        names[column.digest] = f"{column.task}:{options}" if options else column.task
    return names


def _source(row: Row, rows: list[Row]) -> str:
    """Name a row by its source and those options in which it differs from another row of that source."""
    others = [other for other in rows if other.source == row.source and other is not row]
    options = {**row.options, **row.row_options}
    differing = [k for k, v in options.items() if any({**o.options, **o.row_options}.get(k) != v for o in others)]
    text = ",".join(f"{key}={options[key]}" for key in differing)
    return f"{row.source}:{text}" if text else row.source


def _images(row: Row) -> str:
    if row.images is None:
        return "–"
    return f"{row.images:,}" + (f" (−{row.shortfall:,})" if row.shortfall else "")


def _value(value: RowValue | None) -> str:
    if value is None or value.value is None:
        return "–"
    text = f"{100 * value.value:.1f}"
    if value.ci:
        text += f" [dim]{100 * value.ci.lo:.1f}–{100 * value.ci.hi:.1f}[/dim]"
    return text
