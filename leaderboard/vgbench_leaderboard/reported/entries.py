"""Read the papers' figures: a file is checked against a model, and taken apart into one entry for each cell."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean
from typing import Annotated

from pydantic import Field, model_validator

from vgbench.commands.answers import Reported, ReportedMean, ReportedPaper
from vgbench.results import OptionValue, Record

PAPERS = ("lbgen", "burg")

Share = Annotated[float, Field(ge=0, le=1)]
Cell = Share | tuple[Share, Share]  # the value, or the value and its ±


class RowOf(Record):
    """A row of a paper: what vgbench calls its source (None: it has none such), and the options that are known."""

    source: str | None = None
    options: dict[str, OptionValue] = Field(default_factory=dict)
    row_options: dict[str, OptionValue] = Field(default_factory=dict)


class ColumnOf(Record):
    """A column of a table: the task and metric as vgbench calls them, and the column's printed head."""

    task: str
    metric: str
    printed: str
    options: dict[str, OptionValue] = Field(default_factory=dict)
    higher_is_better: bool = True


class Table(Record):
    """One backbone's part of a table: the cells of each row, in the order of the columns."""

    from_: str = Field(alias="from")
    backbone: str
    columns: list[ColumnOf]
    values: dict[str, list[Cell]]

    @model_validator(mode="after")
    def _is_full(self) -> Table:
        ragged = [row for row, cells in self.values.items() if len(cells) != len(self.columns)]
        if ragged:
            raise ValueError(f"{self.from_}: not one value for each column: {', '.join(ragged)}")
        return self


class Paper(Record):
    """A file of this package."""

    name: str
    citation: str
    provenance: str
    notes: list[str]
    plus_minus_means: str | None = None
    rows: dict[str, RowOf]
    tables: list[Table]

    @model_validator(mode="after")
    def _knows_its_rows(self) -> Paper:
        unknown = {row for table in self.tables for row in table.values} - set(self.rows)
        if unknown:
            raise ValueError(f"{self.name}: rows that stand in a table only: {', '.join(sorted(unknown))}")
        return self

    @property
    def told(self) -> ReportedPaper:
        return ReportedPaper(name=self.name, citation=self.citation, notes=self.notes)

    def entries(self) -> list[Reported]:
        """Return one entry for each cell of each table."""
        return [
            self._entry(table, row, column, cell)
            for table in self.tables
            for row, cells in table.values.items()
            for column, cell in zip(table.columns, cells, strict=True)
        ]

    def _entry(self, table: Table, row: str, column: ColumnOf, cell: Cell) -> Reported:
        value, plus_minus = cell if isinstance(cell, tuple) else (cell, None)
        named = self.rows[row]
        return Reported.model_validate(
            {
                "paper": self.name,
                "row": row,
                "source": named.source,
                "source_options": named.options,
                "backbone": table.backbone,
                "task": column.task,
                "row_options": named.row_options,
                "options": column.options,
                "metric": column.metric,
                "higher_is_better": column.higher_is_better,
                "value": value,
                "plus_minus": plus_minus,
                "plus_minus_means": None if plus_minus is None else self.plus_minus_means,
                "from": f"{table.from_}, {row} × {column.printed}",
                "provenance": self.provenance,
            }
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What papers report, wholly or of some tasks; ``suites`` are all tasks of a suite that a paper has figures of."""

    papers: tuple[ReportedPaper, ...]
    entries: tuple[Reported, ...]
    suites: Mapping[tuple[str, str], frozenset[str]]

    def of(self, tasks: Sequence[str]) -> Found:
        """Return what is reported of some tasks, each named by itself or by the suite ahead of its slash."""
        entries = tuple(one for one in self.entries if one.task in tasks or suite_of(one.task) in tasks)
        papers = {one.paper for one in entries}
        return Found(tuple(paper for paper in self.papers if paper.name in papers), entries, self.suites)

    @property
    def tasks(self) -> list[str]:
        """Every task with a reported figure, and every suite of such tasks."""
        found = {one.task for one in self.entries}
        return sorted(found | {suite for task in found if (suite := suite_of(task))})

    def means(self) -> list[ReportedMean]:
        """Recompute each row's mean over a suite from its figures; a row that lacks one here has no mean.

        The averages that papers print are not kept: lbGen's contradict its rows.
        """
        rows: dict[tuple[str, str, str, str], dict[str, float]] = {}
        for one in self.entries:
            if suite := suite_of(one.task):
                rows.setdefault((one.paper, one.row, one.backbone, suite), {})[one.task] = one.value
        return [
            ReportedMean(
                paper=paper, row=row, backbone=backbone, suite=suite, n=len(by_task), value=fmean(by_task.values())
            )
            for (paper, row, backbone, suite), by_task in rows.items()
            if by_task.keys() == self.suites[paper, suite]
        ]


def suite_of(task: str) -> str:
    """Return the suite that stands ahead of a task's slash: transfer8 of transfer8/dtd; nothing for one without."""
    return task.rpartition("/")[0]


def published(names: Iterable[str] = PAPERS) -> Found:
    """Return what the packaged files hold, in the order of their tables."""
    texts = [(files("vgbench_leaderboard.reported") / f"{name}.toml").read_text() for name in names]
    return found_in(Paper.model_validate(tomllib.loads(text)) for text in texts)


def found_in(papers: Iterable[Paper]) -> Found:
    """Return what some papers report."""
    papers = list(papers)
    entries = tuple(one for paper in papers for one in paper.entries())
    suites: dict[tuple[str, str], frozenset[str]] = {}
    for one in entries:
        if suite := suite_of(one.task):
            suites[one.paper, suite] = suites.get((one.paper, suite), frozenset()) | {one.task}
    return Found(tuple(paper.told for paper in papers), entries, suites)
