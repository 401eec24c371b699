"""Captioned images of a user as a corpus: webdataset tars, or Parquet files. Nothing is copied."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vgbench import Made, Step
from vgbench.archives import tar_members
from vgbench.images import FoundImage, write_found
from vgbench.inplace import local
from vgbench.judging import judge_all, refuse_changes
from vgbench.listing import Listing, scan
from vgbench_plugins.files.candidates import SUFFIXES
from vgbench_plugins.files.tables import IMAGES
from vgbench_plugins.retrieval.corpus import Page, write_pages

# What img2dataset, LAION and DataComp call these columns, tried in turn; a prompt is in our own exports.
CAPTIONS = ("caption", "text", "TEXT", "alt_text", "prompt")
UNSAFE = ("punsafe", "nsfw_prediction")
AESTHETIC = ("AESTHETIC_SCORE", "aesthetic_score", "aesthetic", "prediction")
NSFW = ("NSFW", "nsfw")
_SAFE = {"UNLIKELY": 0.0, "UNSURE": 0.5, "NSFW": 1.0}  # LAION-400M's words, as numbers of ours


def read_corpus(step: Step) -> Made:
    """Write ``images.parquet`` (in place: no bytes) and ``corpus.parquet`` of the captioned images at ``place``.

    Images that do not decode, and samples without a caption, are left out and counted. Raises ``ValueError`` where
    there are none, and for files that changed since they were planned with.
    """
    listing = scan(local(step.params["place"].path))
    found = list(_pages(listing))
    aside = Counter(page.what or "no caption" for page in found if not page.caption.strip())
    captioned = [page for page in found if page.caption.strip()]
    if not captioned:
        raise ValueError(
            f"{listing.root}: no captioned images: .tar of KEY.jpg and KEY.txt, or .parquet with a caption"
        )
    locations = [str(page.location) for page in captioned]
    judged = judge_all(step, locations)
    refuse_changes(step, listing, {})
    whole = [(page, one) for page, one in zip(captioned, judged, strict=True) if one.reason is None]
    write_found(step.out, [FoundImage(str(page.location), page.image_id, None, one) for page, one in whole])
    write_pages(step.out, [replace(page, location=None) for page, _ in whole])
    if len(whole) < len(captioned):
        aside["does not decode"] = len(captioned) - len(whole)
    return Made(len(whole), rejected=dict(aside))


def _pages(listing: Listing) -> Iterator[Page]:
    for name in listing.files:
        path = listing.path(name)
        if path.suffix == ".tar":
            yield from _of_tar(path, name)
        elif path.suffix == ".parquet":
            yield from _of_table(path, name)


def _of_tar(path: Path, name: str) -> Iterator[Page]:
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    for key, kind, offset, size in tar_members(path):
        samples.setdefault(key, {})[kind] = offset, size
    with path.open("rb") as file:

        def text(member: tuple[int, int]) -> str:
            file.seek(member[0])
            return file.read(member[1]).decode("utf-8", "replace").strip()

        for key, members in samples.items():
            images = [member for kind, member in members.items() if f".{kind}" in SUFFIXES]
            if len(images) != 1:  # img2dataset leaves samples without an image where a download failed
                yield Page(key, "", what=f"{len(images) or 'no'} image{'s' if images else ''} in one sample")
                continue
            told = _json(text(members["json"]), f"{path}: {key}.json") if "json" in members else {}
            caption = text(members["txt"]) if "txt" in members else str(first(told, CAPTIONS) or "")
            offset, size = images[0]
            yield page_of(told, f"{name}/{key}" if name else key, caption, location=f"{name}#{offset}+{size}")


def _json(text: str, member: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{member}: not JSON: {error}") from error
    if not isinstance(told, dict):
        raise ValueError(f"{member}: no object, but {type(told).__name__}")
    return told


def _of_table(path: Path, name: str) -> Iterator[Page]:
    names = pq.read_schema(path).names
    image = next((column for column in IMAGES if column in names), None)
    if image is None or not any(column in names for column in CAPTIONS):
        raise ValueError(
            f"{path}: no image and caption columns ({', '.join(CAPTIONS)}); its columns: {', '.join(names)}"
        )
    table = pq.read_table(path, columns=[column for column in names if column != image])
    for row, told in enumerate(table.to_pylist()):
        caption = str(first(told, CAPTIONS) or "")
        yield page_of(told, f"{name}#{row}", caption, location=f"{name}#{image}[{row}]")


def page_of(told: Mapping[str, Any], image_id: str, caption: str, *, location: str | None = None) -> Page:
    """Return the page that metadata tells of, by the usual names of its columns."""
    unsafe = first(told, UNSAFE)
    if unsafe is None and first(told, NSFW) is not None:
        word = str(first(told, NSFW)).upper()
        unsafe = _SAFE.get(word, 0.5)
    aesthetic = first(told, AESTHETIC)
    return Page(
        image_id,
        caption,
        location=location,
        url=first(told, ("url", "URL")),
        unsafe=_score(unsafe),
        aesthetic=_score(aesthetic),
    )


def _score(value: object) -> float | None:
    """Return a score; None for what is no finite number: nothing is known of such a page."""
    try:
        score = float(str(value))
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def first(told: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value that is there under one of some names; None where there is none."""
    return next((told[name] for name in names if told.get(name) is not None), None)
