"""The two sides of a comparison: rows of runs, or single cells, and why a column of one is not the other's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vgbench.commands.export import open_board
from vgbench.commands.table import row_name
from vgbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from vgbench.commands.answers import Uncompared
    from vgbench.results import Cell


@dataclass(frozen=True, slots=True)
class Found:
    """One side as found on disk: its name, and its scored cells with their folders, by column digest."""

    name: str
    path: str
    sees: str
    columns: Mapping[str, Sequence[tuple[Cell, Path]]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for cells in self.columns.values() for cell, _ in cells]


def find(text: str) -> Found:
    """Find ``RUN_DIR[:ROW]`` or a cell's folder; ``UsageError`` names the rows that are there."""
    from vgbench import results

    folder, row_text = _split(text)
    if (folder / results.CELL_FILE).exists():
        cell = results.read_cell(folder)
        if cell.status != "ok" or cell.column is None:
            raise UsageError(f"{text} is a {cell.status} cell: {cell.reason}")
        return Found(cell.source.name, text, cell.source.sees, {cell.column: [(cell, folder)]})
    board = open_board(folder)
    names = [row_name(row, board.rows) for row in board.rows]
    wanted = [i for i, row in enumerate(board.rows) if row_text in (None, names[i], row.source)]
    if row_text in names:
        wanted = [names.index(row_text)]
    if len(wanted) != 1:
        what = f"{folder} has {len(wanted) or 'no'} row{'' if len(wanted) == 1 else 's'}"
        close = nearest(row_text, names) if row_text else None
        named = f" called {row_text!r}" if row_text else ""
        hint = f"did you mean {folder}:{close}?" if close and not wanted else f"give one: {_listed(folder, names)}"
        raise UsageError(what + named, hint=hint)
    row = board.rows[wanted[0]]
    columns: dict[str, list[tuple[Cell, Path]]] = {}
    for digest in row.cells:
        at = folder / "cells" / digest
        cell = results.read_cell(at)
        if cell.column is not None and cell.main is not None:
            columns.setdefault(cell.column, []).append((cell, at))
    return Found(names[wanted[0]], text, row.sees, columns)


def _split(text: str) -> tuple[Path, str | None]:
    """Split ``RUN_DIR[:ROW]`` at the first colon behind which the front is a folder; a path may hold colons."""
    if Path(text).is_dir():
        return Path(text), None
    for i, character in enumerate(text):
        if character == ":" and Path(text[:i]).is_dir():
            return Path(text[:i]), text[i + 1 :]
    raise UsageError(f"{text}: no such folder", hint="give RUN_DIR[:ROW], or a folder of RUN_DIR/cells")


def _listed(folder: Path, names: Sequence[str]) -> str:
    return ", ".join(f"{folder}:{name}" for name in names)


def uncompared_columns(a: Found, b: Found, names: Mapping[str, str]) -> list[Uncompared]:
    """Return the columns that only one side has, and in what they differ from the other side's nearest."""
    from vgbench.commands.answers import Uncompared

    sides: list[tuple[Literal["A", "B"], Found, Found]] = [("A", a, b), ("B", b, a)]
    return [
        Uncompared(name=names[column], side=side, is_withheld=False, why=_why(cells[0][0], other.cells))
        for side, mine, other in sides
        for column, cells in mine.columns.items()
        if column not in other.columns
    ]


def withheld_columns(a: Found, b: Found, column: str, names: Mapping[str, str]) -> list[Uncompared]:
    """Return a common column once for each side that has a cell whose main value is withheld, with the reason."""
    from vgbench.commands.answers import Uncompared

    found = []
    sides: list[tuple[Literal["A", "B"], Found]] = [("A", a), ("B", b)]
    for side, of in sides:
        mains = [cell.main for cell, _ in of.columns[column]]
        whys = [(main and main.reason) or "withheld" for main in mains if main is None or main.value is None]
        if whys:
            why = whys[0] if len(mains) == 1 else f"{len(whys)} of {len(mains)} cells: {whys[0]}"
            found.append(Uncompared(name=names[column], side=side, is_withheld=True, why=why))
    return found


def _why(cell: Cell, others: Sequence[Cell]) -> str:
    """Say in what a cell's column differs from the nearest of the other side's."""
    same = [other for other in others if other.task.name == cell.task.name]
    if not same:
        return "the other side has no such task"
    differing = min((_differing(cell, other) for other in same), key=len)
    return ", ".join(differing) or (
        "the same task and options, but another graph: a data set's samples, a step's or a part's version differ"
    )


def _differing(cell: Cell, other: Cell) -> list[str]:
    mine, theirs = cell.task.options, other.task.options
    keys = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
    found = [f"{key}={mine.get(key)} against {theirs.get(key)}" for key in keys]
    if cell.task.version != other.task.version:
        found.insert(0, f"task version {cell.task.version} against {other.task.version}")
    return found
