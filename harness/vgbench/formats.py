"""Write an image set as other people's loaders read it: an image folder, webdataset tars, Parquet for ``datasets``.

Bytes are those of the store; nothing is decoded or encoded again. Equal image sets give equal files.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.errors import CorruptArtifact, UsageError
from vgbench.images import ROW_GROUP, ImageSet
from vgbench.samples import Sample, in_store_order, samples
from vgbench.types import ClassList

MANIFEST_FILE = "manifest.json"
CLASS_MAP_FILE = "classes.txt"
TAR_SAMPLES = 1_000  # webdataset's advice is tars of 0.1 to 1 GB; a thousand ImageNet images are 0.1 GB
PARQUET_ROWS = 5_000  # about 0.5 GB of ImageNet images, the size at which `datasets` shards its own files
LONGEST_STEM = 120  # file systems stop at 255 bytes, some archives earlier
OPEN_TARS = 128  # well below the usual limit of 1,024 open files

Written = Iterator[tuple[Sample, str]]  # each image with the place it got: a file, TAR:MEMBER or PARQUET:ROW


def export(out: Path, found: ImageSet, classes: ClassList, *, kind: str, about: Mapping[str, Any]) -> int:
    """Write a set in one of ``FORMATS`` with its ``manifest.json``; return the number of images.

    Raises ``CorruptArtifact`` when an image's bytes are not those the index names.
    """
    written = FORMATS[kind](out, in_store_order(found), classes)
    n = 0
    with (out / MANIFEST_FILE).open("w") as manifest:
        manifest.write(json.dumps(dict(about), indent=1, sort_keys=True, allow_nan=False).removesuffix("\n}"))
        manifest.write(',\n "images": [')
        for sample, place in written:  # one line each, never all in memory
            if hashlib.sha256(sample.data).hexdigest() != sample.sha256:
                raise CorruptArtifact(f"image {sample.image_id} does not have the bytes its index names")
            line = {"file": place, **_recorded(sample, classes)}
            manifest.write(f"{',' if n else ''}\n  {json.dumps(line, sort_keys=True)}")
            n += 1
        manifest.write("\n ]\n}\n")
    return n


def write_folder(out: Path, found: ImageSet, classes: ClassList) -> Written:
    """Write ``CLASS_ID/IMAGE_ID.png``, and ``classes.txt``: class ids in label order, for timm's ``class_map``.

    Loaders that number folders by name get other labels than ours wherever the class list is not in that order.
    """
    for class_id in classes.ids:
        if class_id in ("", ".", "..") or re.search(r"[/\\\0]", class_id) or class_id.startswith("."):
            raise UsageError(f"class id {class_id!r} cannot be a folder's name", hint="use --format wds or parquet")
        (out / class_id).mkdir()
    (out / CLASS_MAP_FILE).write_text("".join(f"{class_id}\n" for class_id in classes.ids))
    names = _Names()
    for sample in samples(found):
        class_id = classes.ids[sample.label]
        place = f"{names.of(sample, f'{class_id}/', _stem(sample, class_id))}{sample.suffix}"
        (out / place).write_bytes(sample.data)
        yield sample, place


def write_tars(out: Path, found: ImageSet, classes: ClassList) -> Written:
    """Write ``train-NNNNNN.tar`` of up to 1,000 samples: ``KEY.png``, ``KEY.cls`` (label), ``KEY.json``.

    A sample's tar is drawn by the hash of its image id, so that each tar holds all classes; inside a tar samples
    lie by class: shuffle with a buffer of 1,000. ``_info.json`` names the tars and their sizes, as timm reads them.
    """
    order = np.argsort([hashlib.sha256(image_id.encode()).digest() for image_id in found.ids], kind="stable")
    n_tars = max(1, -(-len(found) // TAR_SAMPLES))
    tar_of = np.empty(len(found), np.int64)
    tar_of[order] = np.arange(len(found)) * n_tars // max(len(found), 1)
    lengths = np.bincount(tar_of, minlength=n_tars)
    files = [f"train-{i:06d}.tar" for i in range(n_tars)]
    split = {"name": "train", "num_samples": len(found), "filenames": files, "shard_lengths": lengths.tolist()}
    (out / "_info.json").write_text(json.dumps({"splits": {"train": split}}, indent=1) + "\n")
    names = _Names()
    with closing(_Tars([out / file for file in files])) as tars:
        for i, sample in zip(tar_of.tolist(), samples(found), strict=True):
            class_id = classes.ids[sample.label]
            stem = f"{class_id}_{_stem(sample, class_id)}".replace(".", "_")  # a key ends at the first dot
            key = names.of(sample, "", stem)
            recorded = json.dumps(_recorded(sample, classes), sort_keys=True)
            tars.add(i, f"{key}{sample.suffix}", sample.data)
            tars.add(i, f"{key}.cls", str(sample.label).encode())
            tars.add(i, f"{key}.json", recorded.encode())
            yield sample, f"{files[i]}:{key}{sample.suffix}"


def write_parquet(out: Path, found: ImageSet, classes: ClassList) -> Written:
    """Write ``data/train-NNNNN-of-NNNNN.parquet``: image, label (a ``ClassLabel`` of the class ids), class_id, ….

    Rows lie by class. ``datasets.load_dataset(DIR)`` finds the files and decodes the images.
    """
    label = {"names": list(classes.ids), "_type": "ClassLabel"}
    text = {"dtype": "string", "_type": "Value"}
    features = {
        "image": {"_type": "Image"},
        "label": label,
        **dict.fromkeys(("class_id", "image_id", "prompt", "sha256"), text),
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = {"image": image, "label": pa.int64()}
    schema = pa.schema(
        [(name, types.get(name, pa.string())) for name in features],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    n_files = max(1, -(-len(found) // PARQUET_ROWS))
    (out / "data").mkdir()
    left = samples(found)
    for number in range(n_files):
        file = f"data/train-{number:05d}-of-{n_files:05d}.parquet"
        rows = min(PARQUET_ROWS, len(found) - number * PARQUET_ROWS)
        with pq.ParquetWriter(out / file, schema, compression="NONE", use_dictionary=False) as writer:
            for start in range(0, rows, ROW_GROUP):
                batch = [next(left) for _ in range(min(ROW_GROUP, rows - start))]
                writer.write_table(pa.Table.from_pylist([_row(s, classes) for s in batch], schema=schema))
                for i, sample in enumerate(batch):
                    yield sample, f"{file}:{start + i}"


FORMATS: Mapping[str, Callable[[Path, ImageSet, ClassList], Written]] = {
    "folder": write_folder,
    "wds": write_tars,
    "parquet": write_parquet,
}


def _row(sample: Sample, classes: ClassList) -> dict[str, Any]:
    path = f"{_stem(sample, classes.ids[sample.label])}{sample.suffix}"
    return {"image": {"bytes": sample.data, "path": path}, "prompt": None, **_recorded(sample, classes)}


def _recorded(sample: Sample, classes: ClassList) -> dict[str, Any]:
    recorded = {
        "image_id": sample.image_id,
        "class_id": classes.ids[sample.label],
        "label": sample.label,
        "sha256": sample.sha256,
    }
    return recorded if sample.prompt is None else {**recorded, "prompt": sample.prompt}


def _stem(sample: Sample, class_id: str) -> str:
    """Return an image id as a file name: the class ahead and the suffix left out, what systems refuse as ``_``."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", sample.image_id.removeprefix(f"{class_id}/")).lstrip(".")
    return re.sub(r"\.(png|jpe?g|webp|gif|bmp|tiff?)$", "", plain, flags=re.IGNORECASE) or "_"


class _Names:
    """Names given once each, also where a file system folds case; a doubtful or long one ends in its id's hash."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, sample: Sample, folder: str, stem: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
        name = f"{folder}{stem}"
        if len(stem) > LONGEST_STEM or name.casefold() in self._taken:
            name = f"{folder}{stem[:LONGEST_STEM]}-{hashlib.sha256(sample.image_id.encode()).hexdigest()[:12]}"
        self._taken.add(name.casefold())
        return name


class _Tars:
    """Tar files that are appended to in any order, with few of them open at a time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._open: OrderedDict[int, IO[bytes]] = OrderedDict()

    def add(self, i: int, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # mode 0644, owner 0, time 0: equal samples give equal tars
        info.size = len(data)
        file = self._file(i)
        file.write(info.tobuf(tarfile.PAX_FORMAT))
        file.write(data + b"\0" * (-len(data) % tarfile.BLOCKSIZE))

    def close(self) -> None:
        for i in range(len(self._paths)):
            self._file(i).write(b"\0" * (2 * tarfile.BLOCKSIZE))
        for file in self._open.values():
            file.close()

    def _file(self, i: int) -> IO[bytes]:
        if i in self._open:
            self._open.move_to_end(i)
        else:
            if len(self._open) == OPEN_TARS:
                self._open.popitem(last=False)[1].close()
            self._open[i] = self._paths[i].open("ab", buffering=io.DEFAULT_BUFFER_SIZE)
        return self._open[i]
