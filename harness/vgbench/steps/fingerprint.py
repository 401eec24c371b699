"""Fingerprint images, so that copies among them can be told without reading them again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.copies import Prints, fingerprint
from vgbench.images import ImageSet, decode, write_table
from vgbench.types import Artifact, Made, Step

PRINTS_FILE = "fingerprints.parquet"
_BYTES = 3 * 768


def fingerprint_images(step: Step) -> Made:
    """Write ``fingerprints.parquet``: ``sha256``, and ``print`` (3, 768) uint8 as bytes, of each image once.

    Of the input ``images`` (an image set, or a data set's images), or of the class nodes ``member``.
    """
    opened = step.inputs["member"].members if "member" in step.inputs else (step.inputs["images"],)
    sets = [ImageSet.open(artifact) for artifact in opened]
    total = sum(len(found) for found in sets)
    prints: dict[str, bytes] = {}
    done = 0
    for found in sets:
        for sha256, data in zip(found.table["sha256"].to_pylist(), found.encoded(), strict=True):
            if sha256 not in prints:
                prints[sha256] = fingerprint(decode(data)).tobytes()
            done += 1
            if done % 256 == 0:
                step.progress(done, total)
    columns = {"sha256": pa.array(prints, pa.string()), "print": pa.array(prints.values(), pa.binary(_BYTES))}
    write_table(step.out / PRINTS_FILE, pa.table(columns))
    return Made(total)


def read_prints(artifact: Artifact) -> tuple[list[str], Prints]:
    """Return images' SHA-256 and their fingerprints (N, 3, 768)."""
    table = pq.read_table(artifact.path / PRINTS_FILE)
    stored = (
        table["print"].combine_chunks().buffers()[1] if table.num_rows else b""
    )  # of a fixed size: one after another
    return table["sha256"].to_pylist(), np.frombuffer(stored, np.uint8).reshape(-1, 3, _BYTES // 3)
