"""Captioned images of a user as a corpus: webdataset tars, or Parquet files. Nothing is copied."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
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
IDS = ("uid", "key", "id", "image_path")
ADDRESS = ("url", "URL")
TOLD = {*CAPTIONS, *UNSAFE, *AESTHETIC, *NSFW, *IDS, *ADDRESS}  # the columns of metadata that are read
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
            caption = text(members["txt"]) if "txt" in members else words(told, CAPTIONS) or ""
            offset, size = images[0]
            yield page_of(told, f"{name}/{key}" if name else key, caption, location=f"{name}#{offset}+{size}")


def _json(text: str, member: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{member}: not JSON: {error}") from error
    if not isinstance(told, dict):
        raise ValueError(f"{member}: no object, but {type(told).__name__}")
    return told


def _of_table(path: Path, name: str) -> Iterator[Page]:
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}") from error
    image = next((column for column in IMAGES if column in names), None)
    if image is None or not any(column in names for column in CAPTIONS):
        raise ValueError(
            f"{path}: no image and caption columns ({', '.join(CAPTIONS)}); its columns: {', '.join(names)}"
        )
    table = pq.read_table(path, columns=[column for column in names if column in TOLD])
    for row, told in enumerate(rows_of(table)):
        caption = words(told, CAPTIONS) or ""
        yield page_of(told, f"{name}#{row}", caption, location=f"{name}#{image}[{row}]")


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows of metadata, of the columns that are known here; texts as bytes, since they need not be UTF-8.

    Columns of lists, objects and times are left out: they hold nothing that is asked for, and may not even be readable.
    """
    columns: dict[str, Any] = {}
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if name in TOLD and not pa.types.is_nested(kind) and not pa.types.is_temporal(kind):
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            columns[name] = table[name].cast(pa.large_binary()) if is_text else table[name]
    if not columns:
        return [{} for _ in range(table.num_rows)]
    found: list[dict[str, Any]] = pa.table(columns).to_pylist()
    return found


def page_of(told: Mapping[str, Any], image_id: str, caption: str, *, location: str | None = None) -> Page:
    """Return the page that metadata tells of, by the usual names of its columns; others' metadata holds anything."""
    unsafe = first(told, UNSAFE)
    if unsafe is None and (safe := words(told, NSFW)) is not None:
        unsafe = _SAFE.get(safe.upper(), 0.5)
    return Page(
        _whole(image_id),
        _whole(caption),
        location=location,
        url=words(told, ADDRESS),
        unsafe=score(unsafe),
        aesthetic=score(first(told, AESTHETIC)),
    )


def score(value: object) -> float | None:
    """Return a score; None for what is no finite number: nothing is known of such a page."""
    try:
        found = float(value.decode() if isinstance(value, bytes) else str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def words(told: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first text that is there under one of some names; None where there is none, whatever else is."""
    value = next((told[name] for name in names if isinstance(told.get(name), str | bytes)), None)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None if value is None else _whole(value)


def identity(told: Mapping[str, Any]) -> str | None:
    """Return what metadata calls a page: the first text or whole number under one of the names of ids."""
    value = next((told[name] for name in IDS if told.get(name) and isinstance(told[name], str | bytes | int)), None)
    return None if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _whole(text: str) -> str:
    """Return a text that can be written as UTF-8: JSON and the names in a tar may hold halves of a letter."""
    return text.encode("utf-8", "replace").decode()


def first(told: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first value that is there under one of some names; None where there is none."""
    return next((told[name] for name in names if told.get(name) is not None), None)
