"""``vgbench bench calibration``: train what lacks a row, then say what all rows say."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vgbench.bench.calibration import report, rows

ROWS_FILE = "rows.jsonl"


def bench(folder: Path, home: Sequence[str], *, minutes: float | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Add rows to ``folder/rows.jsonl`` until all are there or ``minutes`` are over (0: none), and write the results.

    ``home`` is what ``vgbench`` takes before its command. Writes ``results.md`` and its pictures; returns the summary.
    A killed run goes on: models that have a row are not trained again, others are found in the store.
    """
    began = time.monotonic()
    path = folder / ROWS_FILE
    for chunk in rows.missing(rows.read(path)):
        if minutes is not None and time.monotonic() - began >= 60 * minutes:
            break
        rows.add(chunk, path, home, say)
    found = rows.read(path)
    left = sum(len(chunk) for chunk in rows.missing(found))
    say(f"{len(found)} models have a row; settings without all of theirs: {left}")
    return report.write(found, folder, missing=left)
