"""Parquet files as `datasets` writes them to the Hub, and the standard copy of `vgbench data add`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.listing import Listing
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import Copy, Sample, split_name

STANDARD = {"sample_id", "split", "class_id"}
_FILE = re.compile(r"(?:.*/)?([^/]+?)-\d+-of-(\d+)(?:-\w+)?\.parquet")  # data/train-00000-of-00002.parquet
_NUMBER = re.compile(r"(?:.*/)?([^/]+)/\d+\.parquet")  # default/train/0000.parquet, as the Hub converts


def open_copy(listing: Listing, names: Sequence[str], naming: Naming, reading: Mapping[str, Any]) -> Copy:
    """Return the splits that the Parquet files of a listing hold."""
    if all(set(_schema(listing, name).names) >= STANDARD for name in names):
        return Copy("parquet", _standard(listing, names, naming), is_protocol=True)
    by_split: dict[str, list[str]] = {}
    for name in names:
        by_split.setdefault(_split_of(name), []).append(name)
    return Copy("parquet", {s: partial(_rows, listing, s, by_split[s], naming, reading) for s in by_split})


def _split_of(name: str) -> str:
    match = _FILE.fullmatch(name) or _NUMBER.fullmatch(name)
    return split_name(match[1] if match else PurePosixPath(name).stem)


def _rows(
    listing: Listing, split: str, names: Sequence[str], naming: Naming, reading: Mapping[str, Any]
) -> list[Sample]:
    """Return the rows of a split's files.

    A row's id is its value in the column ``id``, else its image's path where every row has one of its own, else its
    number. Raises ``ValueError`` naming the file that lacks a column, or holds a label outside the names.
    """
    first = _FILE.fullmatch(names[0])
    if first and int(first[2]) != len(names):
        raise ValueError(f"{listing.root}: {len(names)} of {first[2]} files of split {split!r}: a download was cut off")
    ids: list[str | None] = []
    rows: list[tuple[str, tuple[str, ...]]] = []
    for name in names:
        schema = _schema(listing, name)
        where = str(listing.path(name))
        image = _column(schema, reading.get("image", "image"), where)
        label = _column(schema, reading.get("label", "label"), where)
        declared = _features(schema).get(label, {}).get("names")
        class_ids = None if declared is None else naming.of_names(declared, f"{where}, column {label!r},")
        named = [reading["id"]] if reading.get("id") in schema.names else []
        labels = _read(listing, name, [label, *named])
        ids += labels[named[0]].to_pylist() if named else _paths(listing, name, image)
        for row, value in enumerate(labels[label].to_pylist()):
            if class_ids is None and not isinstance(value, str):
                class_ids = naming.of_numbers(f"{where}, column {label!r}")
            rows.append((f"{name}#{image}[{row}]", (_class_of(value, class_ids, naming, f"{where}, row {row}"),)))
    own = [i for i in ids if i is not None]
    plain = len(set(own)) == len(rows)
    named_by = [str(i) for i in own] if plain else [f"{row:07d}" for row in range(len(rows))]
    return [Sample(f"{split}/{i}", location, of) for i, (location, of) in zip(named_by, rows, strict=True)]


def _class_of(value: object, class_ids: Sequence[str] | None, naming: Naming, where: str) -> str:
    if isinstance(value, str):
        named = naming.of_name(value)
        if named is None:
            raise ValueError(f"{where}: {value!r} names no class of the list")
        return named
    assert class_ids is not None
    if not isinstance(value, int) or not 0 <= value < len(class_ids):
        raise ValueError(f"{where}: label {value!r} lies outside the {len(class_ids)} classes")
    return class_ids[int(value)]


def _paths(listing: Listing, name: str, image: str) -> list[str | None]:
    """Return the paths that the images of a file carry, without reading their bytes."""
    column = pq.ParquetFile(listing.path(name)).schema_arrow.field(image)
    if not pa.types.is_struct(column.type) or column.type.get_field_index("path") < 0:
        return [None] * pq.read_metadata(listing.path(name)).num_rows
    paths: list[str | None] = _read(listing, name, [f"{image}.path"])[image].combine_chunks().field("path").to_pylist()
    return paths


def _standard(listing: Listing, names: Sequence[str], naming: Naming) -> dict[str, Any]:
    splits: dict[str, list[Sample]] = {}
    known = set(naming.ids)
    for name in names:
        columns = [c for c in _schema(listing, name).names if c in {*STANDARD, "class_ids"}]
        for row, value in enumerate(_read(listing, name, columns).to_pylist()):
            class_ids = value.get("class_ids") or [value["class_id"]]
            strangers = sorted(set(class_ids) - known)
            if strangers:
                raise ValueError(f"{listing.path(name)}, row {row}: {strangers[0]!r} is no class id of the list")
            found = Sample(value["sample_id"], f"{name}#image[{row}]", naming.in_order(class_ids))
            splits.setdefault(value["split"], []).append(found)
    return {split: partial(list, found) for split, found in splits.items()}


def _column(schema: pa.Schema, wanted: str, where: str) -> str:
    for name in wanted.split("|"):
        if name in schema.names:
            return name
    raise ValueError(f"{where} has no column {wanted.replace('|', ' or ')}; its columns: {', '.join(schema.names)}")


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features that `datasets` writes into a file's metadata: names of labels among them."""
    text = (schema.metadata or {}).get(b"huggingface")
    features: dict[str, Any] = json.loads(text).get("info", {}).get("features", {}) if text else {}
    return features


def _schema(listing: Listing, name: str) -> pa.Schema:
    try:
        return pq.read_schema(listing.path(name))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{listing.path(name)}: not a whole Parquet file: {error}") from error


def _read(listing: Listing, name: str, columns: Sequence[str]) -> pa.Table:
    return pq.ParquetFile(listing.path(name), memory_map=True).read(columns=list(columns), use_threads=False)
