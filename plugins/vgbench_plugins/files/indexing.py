"""Index images where they lie: which class each belongs to, whether it decodes, its hash. Nothing is copied."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence

from vgbench import Made, Step
from vgbench.images import FoundImage, write_found, write_index
from vgbench.inplace import local
from vgbench.judging import judge_all, refuse_changes
from vgbench.listing import Listing, scan
from vgbench_plugins.files import folders, tables, tars
from vgbench_plugins.files.candidates import Candidate, Found
from vgbench_plugins.files.matching import match

BROKEN_SHARE = 0.01  # design §2: more images than this that do not decode fail the cell
REJECTED_FILE = "rejected.jsonl"
SHOWN = 10


def index_folder(step: Step) -> Made:
    """Index a folder of class folders."""
    listing = listing_of(step)
    return index(step, listing, folders.find(listing))


def index_parquet(step: Step) -> Made:
    """Index the rows of Parquet files."""
    listing = listing_of(step)
    return index(step, listing, tables.find_parquet(listing, step.params))


def index_hf(step: Step) -> Made:
    """Index a split of a Hugging Face data set."""
    listing = listing_of(step)
    return index(step, listing, tables.find_saved(listing, step.params))


def index_tars(step: Step) -> Made:
    """Index the samples of webdataset tars."""
    listing = listing_of(step)
    return index(step, listing, tars.find(listing, step.params))


def listing_of(step: Step) -> Listing:
    """List what lies at a step's param ``place``; a repository of the Hub is fetched first."""
    return scan(local(step.params["place"].path))


def index(step: Step, listing: Listing, found: Found) -> Made:
    """Write ``images.parquet`` (in place: no bytes), ``index.parquet``, and ``rejected.jsonl`` of what does not decode.

    Raises ``ValueError`` for an id that stands twice, a class that is not there, more than 1 % of images that do not
    decode, and files that changed since they were planned with.
    """
    classes = step.params["classes"]
    _refuse_doubles(found.candidates)
    names = dict.fromkeys(candidate.class_name for candidate in found.candidates)
    label_of = match(names, classes, partial=step.params["partial"], hint=found.hint)
    wanted = [candidate for candidate in found.candidates if candidate.class_name in label_of]
    judged = judge_all(step, [candidate.location for candidate in wanted])
    refuse_changes(step, listing, {c.location: j.sha256 for c, j in zip(wanted, judged, strict=True)})
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


def _refuse_doubles(candidates: Sequence[Candidate]) -> None:
    first: dict[str, str] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.image_id, candidate.location)
        if other != candidate.location:
            raise ValueError(f"the id {candidate.image_id!r} stands twice: {other} and {candidate.location}")


def _note(text: str, items: Sequence[str]) -> None:
    """Write to the worker's log, where what was ignored is looked for."""
    if items:
        sys.stderr.write(text + "; ".join(items[:1000]) + "\n")
