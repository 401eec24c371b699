"""Judge images where they lie: does each decode, its size, its hash. A killed run goes on at its checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa

from vgbench.cores import cores
from vgbench.images import Judged, judge, read_table, write_table
from vgbench.inplace import InPlace
from vgbench.listing import Listing
from vgbench.types import Place, Step

BATCH = 32  # images held in memory at a time (ours: a few hundred MB of the largest photographs)
CHECKPOINT = 4096  # images judged between checkpoints (ours: half a minute of photographs on one core)
THREADS = 8  # at most; decoding leaves the interpreter free, and their number changes no byte


def judge_all(step: Step, locations: Sequence[str]) -> list[Judged]:
    """Judge every image of the step's param ``place``, in order; what a killed run has judged is not read again."""
    place = InPlace(step.params["place"].path)
    judged: list[Judged] = []
    with ThreadPoolExecutor(min(THREADS, cores())) as pool:
        for start in range(0, len(locations), CHECKPOINT):
            path = step.scratch / f"judged-{start:09d}.parquet"
            if path.exists():
                judged += _judged(path)
                continue
            part: list[Judged] = []
            for batch in _batches(locations[start : start + CHECKPOINT]):
                part += pool.map(judge, [place.read(location) for location in batch])
                step.progress(start + len(part), len(locations))
            _keep(path, part)
            judged += part
    return judged


def refuse_changes(step: Step, listing: Listing, hashes: Mapping[str, str]) -> None:
    """Raise ``ValueError`` where what was read is not what the key says lies there; a commit of the Hub cannot change.

    ``hashes``: SHA-256 by file name of those files that are themselves images and were judged.
    """
    place: Place = step.params["place"]
    if place.path.startswith("hf://"):
        return

    def sha256(name: str) -> str:
        if name in hashes:
            return hashes[name]
        with listing.path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    if listing.identity(sha256) != place.identity:
        for path in step.scratch.glob("judged-*"):
            path.unlink()
        raise ValueError(f"{place.path} changed after it was planned with; the same command plans again")


def _batches(locations: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(locations), BATCH):
        yield locations[start : start + BATCH]


def _keep(path: Path, part: Sequence[Judged]) -> None:
    columns = list(zip(*map(astuple, part), strict=True))
    new = path.with_suffix(".new")
    write_table(new, pa.table(dict(zip(Judged.__dataclass_fields__, map(list, columns), strict=True))))
    new.replace(path)


def _judged(path: Path) -> list[Judged]:
    table = read_table(path)
    return [Judged(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
