"""Plain text on stdout: JSON, aligned columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence


def write(text: str = "") -> None:
    """Write a line to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Write a line to stderr, where it does not disturb what is piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_json(value: object) -> None:
    """Write pure JSON to stdout."""
    write(json.dumps(value, indent=1, sort_keys=True, allow_nan=False))


def write_columns(rows: Sequence[Sequence[str]]) -> None:
    """Write rows as left-aligned columns; the last one runs on."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        write("  ".join([*cells, row[-1]]).rstrip())
