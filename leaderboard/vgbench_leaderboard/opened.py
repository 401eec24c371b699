"""Run folders opened for reading: their cells, and what lies beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgbench import results
from vgbench.results import Cell, Items, Production


@dataclass(frozen=True, slots=True)
class Opened:
    """The cells of some runs, each once, sorted by digest; their folders; the tasks of the suites asked for."""

    cells: tuple[Cell, ...]
    folders: Mapping[str, Path]
    suites: Mapping[str, Sequence[str]]

    def items_of(self, cell: Cell) -> Items | None:
        return results.read_items(self.folders[cell.digest])

    def observed_of(self, cell: Cell) -> dict[str, Any]:
        return results.read_observed(self.folders[cell.digest])

    def production_of(self, cell: Cell) -> Production | None:
        found = self.observed_of(cell).get("production")
        return Production.model_validate(found) if found else None


def open_runs(run_dirs: Sequence[Path]) -> Opened:
    """Read the cells of some runs; of a cell that stands in several, a finished one is taken."""
    cells: dict[str, Cell] = {}
    folders: dict[str, Path] = {}
    suites: dict[str, Sequence[str]] = {}
    for run_dir in run_dirs:
        for cell in results.read_cells(run_dir):
            if cell.digest not in cells or cells[cell.digest].status != "ok":
                cells[cell.digest], folders[cell.digest] = cell, run_dir / "cells" / cell.digest
        for name, tasks in results.read_suites(run_dir).items():
            suites[name] = list(dict.fromkeys([*suites.get(name, ()), *tasks]))
    return Opened(tuple(cells[digest] for digest in sorted(cells)), folders, dict(sorted(suites.items())))
