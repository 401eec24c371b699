"""Figures of every row and data set: readings, metrics that describe images, gains; and on halves of the items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

from vgbench.results import Cell, row_of
from vgbench_leaderboard.aggregate.readings import ItemsOf, Suite, Way

Place: TypeAlias = tuple[str, str]  # row and data set
Values: TypeAlias = Mapping[Place, float]
Halves: TypeAlias = tuple[Values, Values]  # on the first and on the second half of the test items


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of every row and data set, signed so that higher is better, with its cells and why some lack one."""

    name: str
    encoder: str
    values: Values
    cells: Mapping[Place, tuple[str, ...]]
    whys: Mapping[Place, str]


def of_readings(suite: Suite, way: Way) -> Figure:
    """Return the readings of one way as a figure."""
    values, cells, whys = {}, {}, {}
    for row in suite.rows:
        for dataset, reading in suite.of(row, way).items():
            if reading is None:
                continue
            cells[row, dataset] = tuple(cell.digest for cell in reading.cells)
            if reading.value is None:
                whys[row, dataset] = reading.why_none
            else:
                values[row, dataset] = reading.sign * reading.value
    return Figure(way.readout, way.encoder, values, cells, whys)


def described(suite: Suite) -> Iterator[Figure]:
    """Yield the metrics of tasks that describe a data set's images without reading them out: NAME/quality."""
    found: dict[tuple[str, str], dict[Place, list[tuple[Cell, int]]]] = {}
    for (task, way), cells in sorted(suite.others.items(), key=repr):
        dataset = task.rpartition("/")[0]
        for cell in cells if dataset in suite.datasets else ():
            for i, metric in enumerate(cell.metrics):
                name = ":".join(filter(None, [metric.name, way.readout]))
                found.setdefault((name, way.encoder), {}).setdefault((row_of(cell), dataset), []).append((cell, i))
    for (name, encoder), places in sorted(found.items()):
        values, whys = {}, {}
        for place, those in places.items():
            metrics = [cell.metrics[i] for cell, i in those]
            known = [(1 if m.higher_is_better else -1) * m.value for m in metrics if m.value is not None]
            if len(known) == len(metrics):
                values[place] = fmean(known)
            else:
                whys[place] = next(m.reason or "withheld" for m in metrics if m.value is None)
        digests = {place: tuple(cell.digest for cell, _ in those) for place, those in places.items()}
        yield Figure(name, encoder, values, digests, whys)


def gains_of(suite: Suite, way: Way) -> Figure:
    """Return a way's gain over zero-shot as a figure."""
    of = of_readings(suite, way)
    values = {}
    for (row, dataset), value in of.values.items():
        zeroshot = suite.zeroshot(row, dataset, way)
        if not isinstance(zeroshot, str) and zeroshot.value is not None:
            values[row, dataset] = value - zeroshot.sign * zeroshot.value
    return Figure(f"gain of {way.readout}", way.encoder, values, of.cells, of.whys)


def on_halves(suite: Suite, way: Way, items_of: ItemsOf) -> Halves:
    """Return each row's and data set's mean over either half of the test items, where they have values."""
    found: tuple[dict[Place, float], dict[Place, float]] = ({}, {})
    known: dict[tuple[str, ...], list[bool]] = {}  # test sets are large, and the same for every row
    for row in suite.rows:
        for dataset, reading in suite.of(row, way).items():
            items = reading.items(items_of) if reading is not None and reading.value is not None else ""
            if reading is None or isinstance(items, str):
                continue
            ids = items.sample_ids
            if ids not in known:
                known[ids] = [is_in_first_half(sample_id) for sample_id in ids]
            for half, of in enumerate(found):
                chosen = items.values[:, [first != bool(half) for first in known[ids]]]
                if chosen.size:
                    of[row, dataset] = reading.sign * float(chosen.mean())
    return found


def is_in_first_half(sample_id: str) -> bool:
    """Say in which half of the test items a sample lies: by the last bit of the SHA-256 of its id."""
    return hashlib.sha256(sample_id.encode()).digest()[-1] % 2 == 0


def row_source(row: str) -> str:
    """Return the name of a row's source."""
    return str(json.loads(row)[0])


def row_names(rows: Sequence[str]) -> list[str]:
    """Name each row by its source and those options in which it differs from another row of that source."""
    read = [json.loads(row) for row in rows]
    options = [{**own, **row_options} for _, _, own, row_options in read]
    named = []
    for (name, *_), mine in zip(read, options, strict=True):
        others = [other for (of, *_), other in zip(read, options, strict=True) if of == name]
        told = [f"{key}={value}" for key, value in mine.items() if any(o.get(key) != value for o in others)]
        named.append(f"{name}:{','.join(told)}" if told else str(name))
    return named
