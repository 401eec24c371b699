"""Index images where they lie: which class each belongs to, whether it decodes, its hash. Nothing is copied."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import pyarrow as pa

from vgbench import Made, Place, Step
from vgbench.images import FoundImage, Judged, judge, read_table, write_found, write_index, write_table
from vgbench.inplace import InPlace, local
from vgbench.listing import Listing, scan
from vgbench_plugins.files import folders, tables, tars
from vgbench_plugins.files.candidates import Candidate, Found
from vgbench_plugins.files.matching import match

BROKEN_SHARE = 0.01  # design §2: more images than this that do not decode fail the cell
REJECTED_FILE = "rejected.jsonl"
BATCH = 32  # images held in memory at a time (ours: a few hundred MB of the largest photographs)
CHECKPOINT = 4096  # images judged between checkpoints (ours: half a minute of photographs on one core)
THREADS = 8  # at most; decoding leaves the interpreter free, and their number changes no byte
SHOWN = 10


def index_folder(step: Step) -> Made:
    """Index a folder of class folders."""
    listing = _listing(step)
    return _index(step, listing, folders.find(listing))


def index_parquet(step: Step) -> Made:
    """Index the rows of Parquet files."""
    listing = _listing(step)
    return _index(step, listing, tables.find_parquet(listing, step.params))


def index_hf(step: Step) -> Made:
    """Index a split of a Hugging Face data set."""
    listing = _listing(step)
    return _index(step, listing, tables.find_saved(listing, step.params))


def index_tars(step: Step) -> Made:
    """Index the samples of webdataset tars."""
    listing = _listing(step)
    return _index(step, listing, tars.find(listing, step.params))


def _listing(step: Step) -> Listing:
    return scan(local(step.params["place"].path))


def _index(step: Step, listing: Listing, found: Found) -> Made:
    """Write ``images.parquet`` (in place: no bytes), ``index.parquet``, and ``rejected.jsonl`` of what does not decode.

    Raises ``ValueError`` for an id that stands twice, a class that is not there, more than 1 % of images that do not
    decode, and files that changed since they were planned with.
    """
    classes = step.params["classes"]
    _refuse_doubles(found.candidates)
    names = dict.fromkeys(candidate.class_name for candidate in found.candidates)
    label_of = match(names, classes, partial=step.params["partial"], hint=found.hint)
    wanted = [candidate for candidate in found.candidates if candidate.class_name in label_of]
    judged = _judge_all(step, wanted)
    _refuse_changes(step, listing, {c.location: j.sha256 for c, j in zip(wanted, judged, strict=True)})
    whole = [(c, j) for c, j in zip(wanted, judged, strict=True) if j.reason is None]
    broken = [(c, j.reason) for c, j in zip(wanted, judged, strict=True) if j.reason is not None]
    _note(f"{len(names) - len(label_of)} extra classes ignored: ", sorted(names.keys() - label_of.keys()))
    _note(f"{len(broken)} images do not decode: ", [f"{c.image_id}: {reason}" for c, reason in broken])
    if len(broken) > BROKEN_SHARE * len(wanted):
        named = "; ".join(f"{c.image_id}: {reason}" for c, reason in broken[:SHOWN])
        raise ValueError(
            f"{len(broken)} of {len(wanted)} images do not decode, more than {BROKEN_SHARE:.0%}: "
            f"{named}{'; …' if len(broken) > SHOWN else ''}"
        )
    ids = [classes[label_of[c.class_name]]["id"] for c, _ in whole]
    write_found(step.out, [FoundImage(c.location, c.image_id, i, j) for (c, j), i in zip(whole, ids, strict=True)])
    write_index(
        step.out, ((c.image_id, label_of[c.class_name], 0, 0, row, j.sha256) for row, (c, j) in enumerate(whole))
    )
    lines = [json.dumps({"image_id": c.image_id, "location": c.location, "reason": r}) + "\n" for c, r in broken]
    (step.out / REJECTED_FILE).write_text("".join(lines))
    counts = {"does not decode": len(broken), "class not asked for": len(found.candidates) - len(wanted)}
    rejected = {reason: n for reason, n in {**counts, **found.aside}.items() if n}
    return Made(len(whole), dict(Counter(ids)), rejected)


def _judge_all(step: Step, wanted: Sequence[Candidate]) -> list[Judged]:
    """Judge every image, in order; what a killed run has judged is taken from its checkpoints."""
    place = InPlace(step.params["place"].path)
    judged: list[Judged] = []
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(wanted), CHECKPOINT):
            path = step.scratch / f"judged-{start:09d}.parquet"
            if path.exists():
                judged += _judged(path)
                continue
            part: list[Judged] = []
            for batch in _batches(wanted[start : start + CHECKPOINT]):
                part += pool.map(judge, [place.read(candidate.location) for candidate in batch])
                step.progress(start + len(part), len(wanted))
            _keep(path, part)
            judged += part
    return judged


def _batches(wanted: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    for start in range(0, len(wanted), BATCH):
        yield wanted[start : start + BATCH]


def _keep(path: Path, part: Sequence[Judged]) -> None:
    columns = list(zip(*map(astuple, part), strict=True))
    new = path.with_suffix(".new")
    write_table(new, pa.table(dict(zip(Judged.__dataclass_fields__, map(list, columns), strict=True))))
    new.replace(path)


def _judged(path: Path) -> list[Judged]:
    table = read_table(path)
    return [Judged(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def _refuse_doubles(candidates: Sequence[Candidate]) -> None:
    first: dict[str, str] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.image_id, candidate.location)
        if other != candidate.location:
            raise ValueError(f"the id {candidate.image_id!r} stands twice: {other} and {candidate.location}")


def _refuse_changes(step: Step, listing: Listing, hashes: dict[str, str]) -> None:
    """Compare what was read with what the key says lies there; a commit of the Hub cannot change."""
    place: Place = step.params["place"]
    if place.path.startswith("hf://"):
        return

    def sha256(name: str) -> str:
        if name in hashes:  # a file that is itself an image: hashed when it was judged
            return hashes[name]
        with listing.path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    if listing.identity(sha256) != place.identity:
        for path in step.scratch.glob("judged-*"):
            path.unlink()
        raise ValueError(f"{place.path} changed after it was planned with; the same command plans again")


def _note(text: str, items: Sequence[str]) -> None:
    """Write to the worker's log, where what was ignored is looked for."""
    if items:
        sys.stderr.write(text + "; ".join(items[:1000]) + "\n")
