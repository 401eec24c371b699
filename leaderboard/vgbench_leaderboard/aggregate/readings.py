"""What the cells of a suite say: one reading for each row, data set, readout and encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeAlias

from vgbench import UsageError
from vgbench.metrics.declared import BEST_TEST_EPOCH, NO_INTERVAL
from vgbench.results import Cell, Items, OptionValue, items_by_run, row_of, training_runs

READOUT, ENCODER, SPLIT = "readout", "encoder", "split"  # the column options that tell readings apart
PROBE = "probe"  # of readings of one readout; it decides on the metric
ZEROSHOT, TEST, VALIDATION = "zeroshot", "test", "val"
NAMED = 3  # of what is missing, before "and N more"

ItemsOf: TypeAlias = Callable[[Cell], Items | None]


@dataclass(frozen=True, slots=True)
class Way:
    """How data sets are read out: the readout, with those options that tell it from others of its name; the encoder.

    The readout of a probe that reports its best epoch on the test set ends in that metric's name.
    """

    readout: str
    encoder: str

    @property
    def is_zeroshot(self) -> bool:
        return self.readout.partition(":")[0] == ZEROSHOT

    @property
    def is_best_epoch(self) -> bool:
        return self.readout.endswith(f":{BEST_TEST_EPOCH}")

    @property
    def options(self) -> str:
        """The options that tell the readout from others of its name."""
        return self.readout.removesuffix(f":{BEST_TEST_EPOCH}").partition(":")[2]


@dataclass(frozen=True, slots=True)
class Reading:
    """One row's cells of one data set, read out one way: its scored cells, and why others have no score."""

    row: str
    dataset: str
    way: Way
    split: str
    cells: tuple[Cell, ...]
    missing: tuple[str, ...]

    @property
    def runs(self) -> list[list[Cell]]:
        return training_runs(self.cells)

    @property
    def value(self) -> float | None:
        """The main metric, averaged over training runs as in the table; None where a cell is missing or withheld."""
        if self.missing or not self.cells:
            return None
        values = [[cell.main.value for cell in run if cell.main] for run in self.runs]
        if any(value is None for run in values for value in run):
            return None
        return fmean(fmean(value for value in run if value is not None) for run in values)

    @property
    def unit(self) -> str | None:
        return self.cells[0].main.unit if self.cells and self.cells[0].main else None

    @property
    def sign(self) -> int:
        """1 where higher is better, −1 otherwise."""
        main = self.cells[0].main if self.cells else None
        return -1 if main is not None and not main.higher_is_better else 1

    @property
    def why_none(self) -> str:
        """Say why there is no value."""
        withheld = [cell.main.reason or "no value" for cell in self.cells if cell.main and cell.main.value is None]
        return next(iter([*self.missing, *withheld]), "no value")

    def items(self, items_of: ItemsOf) -> Items | str:
        """Return the training runs' values per item (K, N) with the sample ids, or why there are none."""
        if self.way.is_best_epoch:
            return f"{self.dataset}: {NO_INTERVAL}"
        found = items_by_run(self.runs, {cell.digest: items_of(cell) for cell in self.cells}) if self.cells else None
        return found or f"{self.dataset} has no value per item"


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite's readings, the data sets that a mean over it must hold, and its other tasks' scored cells."""

    name: str
    datasets: tuple[str, ...]
    rows: tuple[str, ...]
    readings: Mapping[tuple[str, str, Way, str], Reading]
    others: Mapping[tuple[str, Way], Sequence[Cell]]
    zeroshots: Mapping[tuple[str, str, str], tuple[Reading, ...]] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[tuple[str, str, str], tuple[Reading, ...]] = {}
        for (row, dataset, way, split), reading in self.readings.items():
            if way.is_zeroshot and split == TEST:
                place = row, dataset, way.encoder
                found[place] = (*found.get(place, ()), reading)
        object.__setattr__(self, "zeroshots", found)

    @property
    def ways(self) -> list[Way]:
        """Every way that some row was read out on the test splits, zero-shot first."""
        found = {way for _, _, way, split in self.readings if split == TEST}
        return sorted(found, key=lambda way: (way.encoder, not way.is_zeroshot, way.readout))

    def of(self, row: str, way: Way, split: str = TEST) -> dict[str, Reading | None]:
        """Return a row's reading of each data set."""
        return {dataset: self.readings.get((row, dataset, way, split)) for dataset in self.datasets}

    def zeroshot(self, row: str, dataset: str, way: Way) -> Reading | str:
        """Return the zero-shot reading of the same data set and encoder, or why there is none to compare with."""
        found = self.zeroshots.get((row, dataset, way.encoder), ())
        if len(found) > 1:
            found = tuple(reading for reading in found if reading.way.options == way.options)
        if len(found) != 1:
            return f"{dataset} (no zero-shot cell)" if not found else f"{dataset} (several zero-shot columns)"
        return found[0] if found[0].value is not None else f"{dataset} (zero-shot: {found[0].why_none})"


def suite_of(name: str, tasks: Sequence[str], cells: Iterable[Cell], rows: Sequence[str]) -> Suite:
    """Sort a suite's cells into readings. Tasks that have a readout count; where none has, all of them.

    Of tasks named below a data set's (genbench/dtd/quality describes genbench/dtd) all cells are taken, whether the
    suite names them or not. ``rows`` are keys of ``results.row_of``. Raises ``UsageError`` where one data set was read
    out one way by different graphs (other samples, another version): such cells never share a column, nor a mean.
    """
    ours = (cell for cell in cells if cell.task.name in tasks or _described(cell.task.name) in tasks)
    mine = sorted(ours, key=lambda cell: cell.digest)
    read_out = {cell.task.name for cell in mine if READOUT in cell.task.options}
    absent = set(tasks) - {cell.task.name for cell in mine}  # with what is not here at all nothing is complete
    datasets = tuple(
        task for task in tasks if not read_out or task in read_out or (task in absent and _described(task) not in tasks)
    )
    labels = _labels(mine)
    grouped: dict[tuple[str, str, Way, str], list[Cell]] = {}
    others: dict[tuple[str, Way], list[Cell]] = {}
    columns: dict[tuple[str, Way, str], set[str]] = {}
    for cell in mine:
        way = Way(labels[cell.digest], str(cell.task.options.get(ENCODER) or ""))
        split = str(cell.task.options.get(SPLIT) or TEST)
        if cell.column:
            columns.setdefault((cell.task.name, way, split), set()).add(cell.column)
        if cell.task.name in datasets:
            grouped.setdefault((row_of(cell), cell.task.name, way, split), []).append(cell)
        elif cell.status == "ok":
            others.setdefault((cell.task.name, way), []).append(cell)
    for (dataset, way, _), found in columns.items():
        if len(found) > 1:
            raise UsageError(
                f"{dataset} was read out as {way.readout} by {len(found)} different graphs: other samples or versions",
                hint="aggregate runs of one version of the data and of vgbench",
            )
    readings = {key: _reading(key, found) for key, found in sorted(grouped.items(), key=lambda item: repr(item[0]))}
    return Suite(name, datasets, tuple(rows), readings, others)


def _described(task: str) -> str:
    """Return the data set that a task would describe by its name: genbench/dtd of genbench/dtd/quality."""
    return task.rpartition("/")[0]


def _labels(cells: Iterable[Cell]) -> dict[str, str]:
    """Return each cell's readout with the options in which columns of one data set and readout differ.

    And with the metric of a probe that reports its best epoch, also where a cell of that probe failed.
    """
    cells = list(cells)
    alike: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in cells:
        options = cell.task.options
        key = cell.task.name, str(options.get(READOUT)), str(options.get(ENCODER)), str(options.get(SPLIT))
        alike.setdefault(key, []).append(cell)
    telling: dict[str, set[str]] = {}
    for (_, name_of_readout, _, _), found in alike.items():
        values: dict[str, dict[str, set[str]]] = {}  # by option and column; equal graphs need no telling
        for name in {name for cell in found for name in cell.task.options} - {READOUT, ENCODER, SPLIT}:
            for cell in found:
                if cell.column:
                    of = values.setdefault(name, {}).setdefault(cell.column, set())
                    of.add(str(cell.task.options.get(name)))
        differing = {name for name, by in values.items() if len({frozenset(one) for one in by.values()}) > 1}
        telling.setdefault(name_of_readout, set()).update(differing)
    of_best_epoch = {_probe(cell) for cell in cells if cell.is_best_epoch}
    labels = {}
    for cell in cells:
        readout: object = cell.task.options.get(READOUT)
        is_best_epoch = cell.is_best_epoch or (cell.main is None and _probe(cell) in of_best_epoch)
        metric = BEST_TEST_EPOCH if readout is not None and is_best_epoch else ""
        text = ",".join(f"{name}={cell.task.options.get(name)}" for name in sorted(telling[str(readout)]))
        labels[cell.digest] = ":".join(filter(None, ["" if readout is None else str(readout), text, metric]))
    return labels


def _probe(cell: Cell) -> tuple[OptionValue, OptionValue]:
    return cell.task.options.get(READOUT), cell.task.options.get(PROBE)


def _reading(key: tuple[str, str, Way, str], cells: Sequence[Cell]) -> Reading:
    scored = tuple(cell for cell in cells if cell.status == "ok" and cell.main is not None)
    missing = tuple(sorted(f"{cell.status}: {cell.reason}" for cell in cells if cell not in scored))
    return Reading(*key, scored, missing)


def missing(found: Mapping[str, Reading | None]) -> list[str]:
    """Return what a mean lacks, one text for each data set without a value."""
    return [
        f"{dataset} ({reading.why_none if reading else 'no cell'})"
        for dataset, reading in found.items()
        if reading is None or reading.value is None
    ]


def named(missing: Sequence[str]) -> str | None:
    """Return one reason of several, the first few by name; None of none."""
    if not missing:
        return None
    more = len(missing) - NAMED
    return f"missing: {', '.join(missing[:NAMED])}" + (f" and {more} more" if more > 0 else "")


def digests(readings: Iterable[Reading | None]) -> list[str]:
    """Return the digests of all cells of some readings, sorted."""
    return sorted({cell.digest for reading in readings if reading for cell in reading.cells})
