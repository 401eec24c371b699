"""Parquet and Arrow files of images and labels, as `datasets` and many others write them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.inplace import open_arrow
from vgbench.listing import Listing
from vgbench_plugins.files.candidates import Candidate, Found
from vgbench_plugins.files.labels import HINT, Labels

IMAGES = ("image", "img", "jpg", "png", "picture")  # columns tried in turn, as data sets on the Hub name them
_OF = re.compile(r"-of-(\d+)")
LABELS = ("label", "labels", "class", "class_id", "fine_label", "target", "cls")


def find_parquet(listing: Listing, params: Mapping[str, Any]) -> Found:
    """Return the rows of every Parquet file of a listing."""
    names = [name for name in listing.files if listing.path(name).suffix == ".parquet" or not name]
    if not names:
        raise ValueError(f"{listing.root}: no .parquet file lies there")
    return _rows(listing, names, params)


def find_saved(listing: Listing, params: Mapping[str, Any]) -> Found:
    """Return the rows of one split of a data set as `datasets` saves it, or as it lies on the Hub (Parquet files)."""
    names = _split_files(listing, params["split"], params["config"])
    info = next((n for n in (f"{_folder(names[0])}dataset_info.json", "dataset_info.json") if n in listing.files), None)
    features = json.loads(listing.path(info).read_text()).get("features") if info else None
    return _rows(listing, names, params, features=features or {})


def _split_files(listing: Listing, split: str, config: str) -> list[str]:
    if "state.json" in listing.files:  # Dataset.save_to_disk
        state = json.loads(listing.path("state.json").read_text())
        if (state.get("_split") or split) != split:
            raise ValueError(f"{listing.root} holds the split {state['_split']!r}, not {split!r}")
        return [file["filename"] for file in state["_data_files"]]
    if "dataset_dict.json" in listing.files:  # DatasetDict.save_to_disk
        splits = json.loads(listing.path("dataset_dict.json").read_text())["splits"]
        if split not in splits:
            raise ValueError(f"{listing.root} has no split {split!r}; its splits: {', '.join(splits)}")
        state = json.loads(listing.path(f"{split}/state.json").read_text())
        return [f"{split}/{file['filename']}" for file in state["_data_files"]]
    wanted = re.compile(rf"(?:(.*)/)?{re.escape(split)}(?:[-_./].*)?\.parquet")
    by_config: dict[str, list[str]] = {}
    for name in listing.files:
        if match := wanted.fullmatch(name):
            by_config.setdefault(match[1] or "", []).append(name)
    if config:
        by_config = {name: files for name, files in by_config.items() if name == config}
    if not by_config:
        there = [name for name in listing.files if name.endswith((".parquet", ".arrow"))]
        hint = f"there are {', '.join(there[:5])}" if there else "a data set of image files is read by folder:PATH"
        raise ValueError(f"{listing.root}: no Parquet file of split {split!r} {config and f'in {config!r}'}; {hint}")
    if len(by_config) > 1:
        raise ValueError(f"{listing.root} holds several configurations: say config= {' or '.join(sorted(by_config))}")
    files = next(iter(by_config.values()))
    if files[0] and (of := _OF.search(files[0])) and int(of[1]) != len(files):
        raise ValueError(
            f"{listing.root}: {len(files)} of {int(of[1])} files of split {split!r}: a download was cut off"
        )
    return files


def _rows(
    listing: Listing, names: Sequence[str], params: Mapping[str, Any], *, features: Mapping[str, Any] | None = None
) -> Found:
    candidates: list[Candidate] = []
    aside: Counter[str] = Counter()
    for name in names:
        path = listing.path(name)
        try:
            schema, read = _open(path)
            declared = {**_features(schema), **(features or {})}
            image = _column(schema, params["image"], IMAGES, "image", path)
            label = _column(schema, params["label"], LABELS, "label", path)
            labels = Labels(params, declared.get(label, {}).get("names"))
            wanted = [label, *([params["id"]] if params["id"] else [])]
            if params["id"]:
                _column(schema, params["id"], (), "id", path)
            table = read(wanted)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path}: not a whole Parquet or Arrow file: {error}") from error
        if pa.types.is_nested(table[label].type):
            raise ValueError(f"{path}: column {label!r} holds {table[label].type}, not one label for each image")
        values = table[label].to_pylist()
        ids = table[params["id"]].to_pylist() if params["id"] else [f"{name}#{row}" for row in range(len(values))]
        for row, (value, image_id) in enumerate(zip(values, ids, strict=True)):
            class_name = labels.name(value)
            if class_name is None:
                aside["without a label"] += 1
            else:
                candidates.append(Candidate(f"{name}#{image}[{row}]", str(image_id), class_name))
    return Found(candidates, aside, HINT)


def _open(path: Path) -> tuple[pa.Schema, Any]:
    if path.suffix == ".arrow":
        table = open_arrow(path)
        return table.schema, table.select
    file = pq.ParquetFile(path, memory_map=True)
    return file.schema_arrow, lambda columns: file.read(columns=columns, use_threads=False)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features that `datasets` writes into a file's metadata: names of labels among them."""
    text = (schema.metadata or {}).get(b"huggingface")
    features: dict[str, Any] = json.loads(text).get("info", {}).get("features", {}) if text else {}
    return features


def _column(schema: pa.Schema, given: str, tried: Sequence[str], what: str, path: Path) -> str:
    """Return the column given, or the only one of the usual names."""
    found = [given] if given in schema.names else [] if given else [name for name in tried if name in schema.names]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(schema.names)
    if given:
        raise ValueError(f"{path} has no column {given!r}; its columns: {columns}")
    doubt = "no column with a usual name" if not found else f"{' and '.join(found)} could be the column"
    raise ValueError(f"{path}: {doubt} of the {what}: say {what}=COLUMN; its columns: {columns}")


def _folder(name: str) -> str:
    return name.rpartition("/")[0] + "/" if "/" in name else ""
