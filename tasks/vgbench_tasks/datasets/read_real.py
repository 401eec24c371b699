"""Read a split of a real data set: images and labels apart, in whatever layout the copy has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from vgbench import Made, Step
from vgbench.images import FoundImage, write_found, write_labels
from vgbench.inplace import local
from vgbench.judging import judge_all, refuse_changes
from vgbench.listing import Listing, scan
from vgbench.types import sha256_hex
from vgbench_tasks.datasets import elevater, folders, memes, parquet, tars
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import SUFFIXES, Copy, Sample
from vgbench_tasks.datasets.splits import Splits

SHOWN = 5


def images(step: Step) -> Made:
    """Index a split's images where they lie, without their labels. ``ValueError`` if one does not decode."""
    listing = listing_of(step)
    border_px = step.params["reading"].get("border_px")  # upstream's images have it, whatever layout a copy is in
    border = f"#border={border_px}" if border_px else ""
    samples = [replace(sample, location=f"{sample.location}{border}") for sample in _split(step, listing)]
    return indexed(step, listing, samples)


def indexed(step: Step, listing: Listing, samples: Sequence[Sample]) -> Made:
    """Write the index of samples' images, without their labels. ``ValueError`` if one does not decode."""
    judged = judge_all(step, [sample.location for sample in samples])
    refuse_changes(step, listing, {s.location: j.sha256 for s, j in zip(samples, judged, strict=True)})
    broken = [f"{s.sample_id}: {j.reason}" for s, j in zip(samples, judged, strict=True) if j.reason is not None]
    if broken:
        raise ValueError(
            f"{len(broken)} of {len(samples)} images of {step.params['dataset']} do not decode: "
            f"{'; '.join(broken[:SHOWN])}{'; …' if len(broken) > SHOWN else ''}"
        )
    found = [FoundImage(s.location, s.sample_id, None, j) for s, j in zip(samples, judged, strict=True)]
    write_found(step.out, found)
    return Made(len(found))


def labels(step: Step) -> Made:
    """Write a split's labels; of a multi-label set all class ids of each image."""
    samples = _split(step, listing_of(step))
    rows = [(sample.sample_id, sample.class_ids[0] if sample.class_ids else None) for sample in samples]
    lists = [sample.class_ids for sample in samples] if step.params["reading"].get("multi_label") else None
    write_labels(step.out, rows, class_lists=lists)
    return Made(len(samples), dict(Counter(class_id for sample in samples for class_id in sample.class_ids)))


def open_copy(listing: Listing, params: Mapping[str, Any]) -> Copy:
    """Find out in which layout a copy lies; ``ValueError`` naming what lies there when it is none that is known."""
    reading: Mapping[str, Any] = params["reading"]
    naming = Naming(params)
    by_suffix: dict[str, list[str]] = {}
    for name in listing.files:
        by_suffix.setdefault(PurePosixPath(name or str(listing.root)).suffix.lower(), []).append(name)
    if found := elevater.indices(listing):
        return elevater.open_copy(listing, found, naming, reading)
    if ".parquet" in by_suffix:
        return parquet.open_copy(listing, by_suffix[".parquet"], naming, reading)
    if ".tar" in by_suffix:
        return tars.open_copy(listing, by_suffix[".tar"], naming, reading)
    if ".jsonl" in by_suffix:
        return memes.open_copy(listing, by_suffix[".jsonl"], naming)
    pictures = [name for suffix in sorted(SUFFIXES & set(by_suffix)) for name in by_suffix[suffix]]
    if pictures:
        return folders.open_copy(listing, sorted(pictures), naming, reading)
    there = ", ".join(f"{len(names)} {suffix or 'without suffix'}" for suffix, names in by_suffix.items())
    raise ValueError(
        f"{listing.root}: neither Parquet, nor webdataset tars, nor an image folder, nor ELEVATER's files lie there, "
        f"only {there}"
    )


def listing_of(step: Step) -> Listing:
    """Return the files of the copy that a reading step is given."""
    return scan(local(step.params["place"].path))


def _split(step: Step, listing: Listing) -> list[Sample]:
    """Return a split's samples in the order of their ids; ``NoSuchSplit`` if the copy lacks it, or has another one.

    While splits are being observed, ``sizes`` tells of all of them, so that none is made of one that is not taken.
    """
    params = step.params
    split, reading = params["split"], params["reading"]
    copy = open_copy(listing, params)
    by_stem = reading.get("ids") == "stem" and not copy.is_protocol
    sizes = params.get("sizes", {split: params["n"]})
    return checked(step, Splits(_by_stem(copy) if by_stem else copy, reading["splits"], sizes).samples(split))


def checked(step: Step, samples: Sequence[Sample]) -> list[Sample]:
    """Return a split's samples in the order of their ids.

    Raises ``ValueError`` when an id stands twice, a class has no sample, or the ids are not those that the key names
    (none, while they are being observed).
    """
    params, found = step.params, list(samples)
    what = f"{params['dataset']}, split {params['split']!r} of {params['place'].path}"
    ids = [sample.sample_id for sample in found]
    if len(set(ids)) != len(ids):
        double = next(sample_id for sample_id, n in Counter(ids).items() if n > 1)
        raise ValueError(f"{what}: the sample id {double!r} stands twice")
    named = {class_id for sample in found for class_id in sample.class_ids}
    lacking = [class_id for class_id, _ in params["classes"] if class_id not in named]
    if lacking:
        more = ", …" if len(lacking) > SHOWN else ""
        raise ValueError(
            f"{what}: {len(lacking)} of {len(params['classes'])} classes have no sample: "
            f"{', '.join(lacking[:SHOWN])}{more}"
        )
    found.sort(key=lambda sample: sample.sample_id)
    digest = sha256_hex("\n".join(sample.sample_id for sample in found))
    if params["sample_ids"] is not None and digest != params["sample_ids"]:
        raise ValueError(
            f"{what}: its sample ids have the hash {digest[:12]}…, but {params['sample_ids'][:12]}… is known"
        )
    return found


def _by_stem(copy: Copy) -> Copy:
    """Name samples by their file's stem alone, so that one image has one id in every copy and split."""

    def stemmed(read: Callable[[], Sequence[Sample]]) -> list[Sample]:
        return [replace(sample, sample_id=PurePosixPath(sample.sample_id).stem) for sample in read()]

    return replace(copy, splits={name: partial(stemmed, read) for name, read in copy.splits.items()})
