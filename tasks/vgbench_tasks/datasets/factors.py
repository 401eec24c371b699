"""Read a test set whose labels are factors of each image: its own layout, or Parquet with the same columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgbench import Made, Step
from vgbench.errors import NoSuchSplit, UsageError
from vgbench.images import write_labels
from vgbench.listing import Listing
from vgbench.types import Columns
from vgbench_tasks.datasets.read_real import checked, indexed, listing_of
from vgbench_tasks.datasets.samples import Sample

OWN = ("split", "image", "image_id")  # columns of a copy in Parquet that are no factors


@dataclass(frozen=True, slots=True)
class Case:
    """An image of a test: a stable id, where it lies (see `vgbench.inplace`), and its columns as text."""

    sample_id: str
    location: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a test set is read.

    ``cases(listing)`` finds its images where upstream's own layout lies. ``labels(columns)`` turns their columns,
    arrays of text with ``sample_id`` among them, into the scorer's: what `vgbench score` uses for a user's table.
    ``category(columns)`` is the class id of each.
    """

    cases: Callable[[Listing], Sequence[Case]]
    labels: Callable[[Columns], Columns]
    category: str

    def images(self, step: Step) -> Made:
        """Index the test's images where they lie, without their labels. ``ValueError`` if one does not decode."""
        listing = listing_of(step)
        samples, _ = self._read(step, listing)
        return indexed(step, listing, samples)

    def table(self, step: Step) -> Made:
        """Write ``labels.parquet``: the class, and every column that the scorer reads."""
        samples, columns = self._read(step, listing_of(step))
        row = {sample_id: i for i, sample_id in enumerate(columns["sample_id"].tolist())}
        order = [row[sample.sample_id] for sample in samples]
        more = {
            name: [values.tolist()[i] for i in order]
            for name, values in columns.items()
            if name not in ("sample_id", "class_id")
        }
        write_labels(step.out, [(sample.sample_id, sample.class_ids[0]) for sample in samples], more=more)
        return Made(len(samples), dict(Counter(sample.class_ids[0] for sample in samples)))

    def _read(self, step: Step, listing: Listing) -> tuple[list[Sample], Columns]:
        """Return the samples in the order of their ids, and the scorer's columns in the order of the copy."""
        parquet = [name for name in listing.files if name.endswith(".parquet")]
        found = _of_parquet(listing, parquet, step.params["split"]) if parquet else list(self.cases(listing))
        names = {name for case in found for name in case.columns}
        given: dict[str, Any] = {name: np.asarray([case.columns.get(name, "") for case in found]) for name in names}
        given["sample_id"] = np.asarray([case.sample_id for case in found])
        try:
            columns = self.labels(given)
        except (KeyError, UsageError) as error:
            what = f"no column {error}" if isinstance(error, KeyError) else error.what
            raise ValueError(f"{listing.root}: {what}") from error
        categories = columns[self.category].tolist()
        samples = [Sample(c.sample_id, c.location, (of,)) for c, of in zip(found, categories, strict=True)]
        if step.params["n"] is not None and len(samples) != step.params["n"]:
            raise ValueError(f"{listing.root}: {len(samples):,} samples, {step.params['n']:,} expected")
        return checked(step, samples), columns


def _of_parquet(listing: Listing, names: Sequence[str], split: str) -> list[Case]:
    """Return the rows of a copy in Parquet; ``NoSuchSplit`` if none is of the split, ``ValueError`` for another."""
    found: list[Case] = []
    for name in names:
        try:
            columns = [column for column in pq.read_schema(listing.path(name)).names if column not in ("image",)]
            rows = pq.read_table(listing.path(name), columns=columns).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{listing.path(name)}: not a whole Parquet file: {error}") from error
        if not {"sample_id", "split"} <= set(columns):
            raise ValueError(f"{listing.path(name)} lacks one of the columns sample_id, split, image")
        found += [
            Case(row["sample_id"], f"{name}#image[{i}]", _texts(row))
            for i, row in enumerate(rows)
            if row["split"] == split
        ]
    if not found:
        raise NoSuchSplit(f"{split} is not among the splits of {listing.root}")
    return found


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value is not None and name not in (*OWN, "sample_id")}
