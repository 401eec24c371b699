"""Miniature corpora in the layouts of the real ones, their vectors by the Toybox CLIP."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

from vgbench.locate import packaged
from vgbench.toybox import downstream, words
from vgbench_tasks.encoders.open_clip import build

CLIP = packaged("vgbench.toybox:clip")


@dataclass(frozen=True)
class Captioned:
    """One entry: its name, caption, encoded bytes, and further metadata."""

    key: str
    caption: str
    data: bytes
    more: dict[str, Any]


def stored(pixels: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def entries(split: str, n: int, *, first: int = 0) -> list[Captioned]:
    """Return images of the downstream set "tools", n of each of its ten classes in turn, captioned by their kind."""
    names = downstream.DOWNSTREAM["tools"].class_names
    found = downstream.downstream("tools", split, first + n)  # type: ignore[arg-type]  # a split's name
    rows = slice(first * len(names), (first + n) * len(names))
    pixels, labels = found.pixels(size_px=64, rows=rows), found.label[rows]
    return [
        Captioned(f"{split}-{i:04d}", f"a photo of a {words.kind(names[label])}", stored(image), {})
        for i, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True))
    ]


def tars(folder: Path, found: Sequence[Captioned], *, shards: int = 2) -> Path:
    """Write what img2dataset writes: webdataset tars of KEY.jpg, KEY.txt and KEY.json."""
    folder.mkdir(parents=True)
    for number in range(shards):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for one in found[number::shards]:
                told = json.dumps({"caption": one.caption, "key": one.key, **one.more}).encode()
                for kind, data in (("jpg", one.data), ("txt", one.caption.encode()), ("json", told)):
                    info = tarfile.TarInfo(f"{one.key}.{kind}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return folder


def parquet(folder: Path, found: Sequence[Captioned]) -> Path:
    """Write a captioned data set as `datasets` does: image {bytes, path}, text."""
    folder.mkdir(parents=True)
    columns: dict[str, Any] = {
        "image": [{"bytes": one.data, "path": f"{one.key}.jpg"} for one in found],
        "text": [one.caption for one in found],
    }
    columns |= {name: [one.more.get(name) for one in found] for name in {k for one in found for k in one.more}}
    pq.write_table(pa.table(columns), folder / "train-00000-of-00001.parquet", row_group_size=16)
    return folder


def vectors(found: Sequence[Captioned]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the Toybox CLIP's vectors of images and of captions, each of length 1 (N, D)."""
    network = build({}, str(CLIP), "cpu")
    px = network.preprocessing.input_px
    with torch.inference_mode():
        pixels = [
            np.asarray(Image.open(io.BytesIO(one.data)).resize((px, px), Image.Resampling.BICUBIC)) for one in found
        ]
        images = network.images(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)).numpy()
        texts = network.texts([one.caption for one in found]).numpy()
    return tuple(v / np.linalg.norm(v, axis=1, keepdims=True) for v in (images, texts))  # type: ignore[return-value]


def clip_retrieval(folder: Path, found: Sequence[Captioned], images: Path) -> Path:
    """Write what clip-retrieval writes: two indexes of faiss, metadata in several files, images by path."""
    (folder / "metadata").mkdir(parents=True)
    images.mkdir(parents=True, exist_ok=True)
    for name, values in zip(("image", "text"), vectors(found), strict=True):
        index = faiss.IndexFlatIP(values.shape[1])
        index.add(np.ascontiguousarray(values, np.float32))
        faiss.write_index(index, str(folder / f"{name}.index"))
    half = len(found) // 2
    for number, part in enumerate((found[:half], found[half:])):
        for one in part:
            (images / f"{one.key}.jpg").write_bytes(one.data)
        columns: dict[str, Any] = {
            "image_path": [f"{one.key}.jpg" for one in part],
            "caption": [one.caption for one in part],
            **{name: [one.more.get(name) for one in part] for name in {k for one in found for k in one.more}},
        }
        pq.write_table(pa.table(columns), folder / "metadata" / f"metadata_{number}.parquet", row_group_size=8)
    return folder


def datacomp(folder: Path, found: Sequence[Captioned], images: Path) -> Path:
    """Write DataComp's metadata: files of a hash's name, fp16 vectors beside them; here with a path to each image."""
    folder.mkdir(parents=True)
    images.mkdir(parents=True, exist_ok=True)
    of_images, of_texts = vectors(found)
    half = len(found) // 2
    for name, rows in (("00ab12", slice(0, half)), ("ff0912", slice(half, None))):
        part = found[rows]
        for one in part:
            (images / f"{one.key}.jpg").write_bytes(one.data)
        columns: dict[str, Any] = {
            "uid": [f"{i:032x}" for i in range(len(part))],
            "url": [f"http://pictures.example/{one.key}.jpg" for one in part],
            "text": [one.caption for one in part],
            "image_path": [f"{one.key}.jpg" for one in part],
        }
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        arrays = {"b32_img": of_images[rows].astype(np.float16), "b32_txt": of_texts[rows].astype(np.float16)}
        np.savez(folder / f"{name}.npz", **arrays)
    return folder
