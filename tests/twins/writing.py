"""Files as upstream lays them out, written without the adapters: Parquet of `datasets`, webdatasets, folders, zips."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tests.sources.drawn import write_tar

CLASSES = Path(__file__).parents[2] / "tasks" / "vgbench_tasks" / "datasets" / "classes"

Row = tuple[bytes, tuple[str, ...]]  # an image's bytes, its class ids


@dataclass
class Truth:
    """What a twin's author knows: the images of each of our splits with their classes, and what is asked of a test."""

    splits: dict[str, list[Row]]
    by_id: dict[str, set[str]] = field(default_factory=dict)  # derived splits: the ids that the rule gives


def entries(name: str) -> list[dict[str, Any]]:
    """Return a class list's entries."""
    found: list[dict[str, Any]] = json.loads((CLASSES / f"{name}.json").read_text())["classes"]
    return found


def ids(name: str) -> list[str]:
    return [entry["id"] for entry in entries(name)]


def names(name: str) -> list[str]:
    return [entry["name"] for entry in entries(name)]


def picture(number: int, kind: str = "PNG", size: tuple[int, int] = (4, 3), mode: str = "RGB") -> bytes:
    """Return an image that no other number has."""
    rng = np.random.default_rng(number)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(
        buffer, kind, **({"lossless": True} if kind == "WEBP" else {})
    )
    return buffer.getvalue()


def rows(class_ids: Sequence[str], n: int, start: int, **how: Any) -> list[Row]:
    """Return ``n`` images of each class, the classes by turns, as a shuffled upstream would."""
    return [(picture(start + i, **how), (class_ids[i % len(class_ids)],)) for i in range(n * len(class_ids))]


def hub(
    root: Path,
    splits: Mapping[str, Sequence[Row]],
    label_of: Mapping[str, Any],
    *,
    declared: Sequence[str] | None,
    image: str = "image",
    label: str = "label",
    more: Mapping[str, Any] | None = None,
    folder: str = "data",
    parts: int = 2,
    lost: bool = False,
) -> None:
    """Write SPLIT-00000-of-00002.parquet, …, with the features that `datasets` keeps in the schema's metadata.

    ``label_of``: class id → the value of its label. ``more``: further columns by name, each a function of (split, row).
    ``lost``: the last file of each split is missing.
    """
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split, found in splits.items():
        step = -(-len(found) // parts)
        for part in range(parts - lost):
            chunk = found[part * step : (part + 1) * step]
            columns: dict[str, Any] = {
                image: [{"bytes": data, "path": None} for data, _ in chunk],
                label: [label_of[of[0]] for _, of in chunk],
            }
            for name, value in (more or {}).items():
                columns[name] = [value(split, part * step + i, of[0]) for i, (_, of) in enumerate(chunk)]
            features: dict[str, Any] = {image: {"_type": "Image"}}
            if declared is not None:
                features[label] = {"names": list(declared), "_type": "ClassLabel"}
            table = pa.table(columns).replace_schema_metadata(
                {"huggingface": json.dumps({"info": {"features": features}})}
            )
            pq.write_table(table, root / folder / f"{split}-{part:05d}-of-{parts:05d}.parquet")


def webdataset(
    root: Path,
    splits: Mapping[str, Sequence[Row]],
    number_of: Mapping[str, int],
    *,
    classnames: Sequence[str] | None,
    kind: str = "webp",
    multi_label: bool = False,
    lost: bool = False,
) -> None:
    """Write SPLIT/0.tar, 1.tar, nshards.txt and classnames.txt as CLIP_benchmark does."""
    n_classes = len(number_of)
    for split, found in splits.items():
        members: list[list[tuple[str, bytes]]] = [[], []]
        for i, (data, of) in enumerate(found):
            if multi_label:
                hot = np.zeros(n_classes, np.int64)
                hot[[number_of[class_id] for class_id in of]] = 1
                buffer = io.BytesIO()
                np.save(buffer, hot)
                label = ("npy", buffer.getvalue())
            else:
                label = ("cls", str(number_of[of[0]]).encode())
            key = f"s{i:07d}"
            members[2 * i // len(found)] += [(f"{key}.{label[0]}", label[1]), (f"{key}.{kind}", data)]
        for shard, of_shard in enumerate(members):
            if not (lost and shard == 1):
                write_tar(root / split / f"{shard}.tar", of_shard)
        (root / split / "nshards.txt").write_text("2\n")
    if classnames is not None:
        (root / "classnames.txt").write_text("".join(f"{name}\n" for name in classnames))
    if multi_label:
        (root / "dataset_type.txt").write_text("multilabel\n")


def folders(
    root: Path, found: Sequence[Row], folder_of: Mapping[str, str], *, suffix: str = "JPEG", prefix: str = ""
) -> None:
    """Write CLASS/x.JPEG."""
    for i, (data, of) in enumerate(found):
        path = root / folder_of[of[0]] / f"{prefix}{i}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def iris(
    root: Path,
    splits: Mapping[str, Sequence[Row]],
    number_of: Mapping[str, int],
    *,
    labels: Sequence[str],
    suffix: str = "",
    base: int = 0,
) -> None:
    """Write ELEVATER's first format: SPLIT.zip, SPLIT.txt with "SPLIT.zip@path labels", labels.txt."""
    root.mkdir(parents=True, exist_ok=True)
    for split, found in splits.items():
        lines = []
        with zipfile.ZipFile(root / f"{split}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for i, (data, of) in enumerate(found):
                archive.writestr(f"some folder/{i}.png", data)
                lines.append(f"{split}.zip@some folder/{i}.png {','.join(str(number_of[c] + base) for c in of)}\n")
        (root / f"{split}{suffix}.txt").write_text("".join(lines))
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in labels))


def coco(
    root: Path, splits: Mapping[str, Sequence[Row]], categories: Mapping[int, str], number_of: Mapping[str, int]
) -> None:
    """Write ELEVATER's second format: SPLIT_meta.json as COCO has it, its categories not in order."""
    root.mkdir(parents=True, exist_ok=True)
    for split, found in splits.items():
        archived = f"{split}_images.zip"
        with zipfile.ZipFile(root / archived, "w") as archive:
            for i, (data, _) in enumerate(found):
                archive.writestr(f"{i}.png", data)
        content = {
            "images": [{"id": i, "file_name": f"{i}.png", "zip_file": archived} for i in range(len(found))],
            "categories": [{"id": i, "name": name} for i, name in sorted(categories.items(), reverse=True)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": number_of[of[0]]} for i, (_, of) in enumerate(found)
            ],
        }
        (root / f"{split}_meta.json").write_text(json.dumps(content))


def swapped(values: Sequence[Any], one: int = 0, other: int = 1) -> list[Any]:
    """Return a list with two of its items exchanged."""
    found = list(values)
    found[one], found[other] = found[other], found[one]
    return found
