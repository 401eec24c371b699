"""What a corpus's pages are, beside their images: captions, and what the metadata says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa

from vgbench.images import read_table, write_table
from vgbench.steps.captions import CORPUS_FILE

_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("caption", pa.string()),
        ("location", pa.string()),
        ("url", pa.string()),
        ("unsafe", pa.float64()),
        ("aesthetic", pa.float64()),
        ("what", pa.string()),
        ("of", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of a corpus.

    ``location`` in a folder, or ``url``, where its bytes are not in the store; ``unsafe`` 0..1 and ``aesthetic`` as
    the metadata has them; ``what`` it is and ``of`` which test image, where that is known (Toybox).
    """

    image_id: str
    caption: str
    location: str | None = None
    url: str | None = None
    unsafe: float | None = None
    aesthetic: float | None = None
    what: str | None = None
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """What a search found: similarities and rows, the nearest first; ``n_passed`` rows had no vector to compare."""

    similarities: Sequence[float]
    rows: Sequence[int]
    n_passed: int = 0


def write_pages(folder: Path, pages: Sequence[Page]) -> None:
    """Write ``corpus.parquet``, in the order of the images."""
    columns = {field.name: [getattr(page, field.name) for page in pages] for field in fields(Page)}
    write_table(folder / CORPUS_FILE, pa.table(columns, schema=_SCHEMA))


def read_pages(folder: Path) -> pa.Table:
    """Read ``corpus.parquet``; `pages_of` takes pages from it."""
    return read_table(folder / CORPUS_FILE)


def pages_of(table: pa.Table, rows: Sequence[int]) -> list[Page]:
    """Return the pages that stand in some rows."""
    return [Page(**row) for row in table.take(rows).to_pylist()]
