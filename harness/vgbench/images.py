"""Image shards and image sets on disk: their columns, writing them, reading pixels through an index."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vgbench.inplace import InPlace
from vgbench.types import Artifact

SHARD_FILE = "images.parquet"
INDEX_FILE = "index.parquet"
LABELS_FILE = "labels.parquet"
_JPEG = b"\xff\xd8"  # what a JPEG begins with
ROW_GROUP = 256  # images a row group: random reads touch few bytes (performance.md §2)

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # what Hugging Face `datasets` opens as an image
SHARD_SCHEMA = pa.schema(
    [
        ("image", _IMAGE),
        ("index", pa.int64()),
        ("image_id", pa.string()),
        ("class_id", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("attempt", pa.int32()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("sha256", pa.string()),
        ("flags", pa.list_(pa.string())),
    ]
)
INDEX_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("label", pa.int64()),
        ("member", pa.int32()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("sha256", pa.string()),
    ]
)
LABEL_LISTS = pa.field("labels", pa.list_(pa.int64()))  # the index of a multi-label set has this column too
LABELS_SCHEMA = pa.schema([("sample_id", pa.string()), ("class_id", pa.string())])
CLASS_LISTS = pa.field("class_ids", pa.list_(pa.string()))  # the labels of a multi-label set have this column too


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One encoded image of a shard. ``class_id`` is None in a data set whose labels travel apart."""

    data: bytes
    index: int
    image_id: str
    width_px: int
    height_px: int
    class_id: str | None = None
    prompt: str | None = None
    seed: int | None = None
    attempt: int = 0
    flags: tuple[str, ...] = ()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (H, W) grey or (H, W, 3) sRGB uint8 pixels as PNG, the same bytes each time."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


JPEG_QUALITY = 95  # of generated images (design §2); chroma is not subsampled


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) sRGB uint8 pixels as JPEG of quality 95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


MAX_PIXELS = 50_000_000  # ours: a 50-megapixel camera; read from the header, before anything is decoded
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF")  # no format that runs a program
ORIENTATION = 0x0112  # EXIF 2.32, table 4
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes) -> Image.Image:
    """Decode an encoded image to 8-bit RGB or grey ("RGB" or "L"), fully loaded and upright.

    The first frame of an animation; turned as its EXIF says; 16-bit grey by its high byte; CMYK by its complement,
    no colour profile; what is transparent over black, so that colours hidden under it do not show. Raises
    ``ValueError`` for more than 50 megapixels, for pixels without a range (float), and for what is no image; Pillow's
    own errors for a broken one.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError("not an image of a known format" if data else "no bytes") from None
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} × {image.height} px is more than {MAX_PIXELS // 10**6} megapixels")
    image.load()
    upright = _upright(image)
    return upright if upright.mode in ("RGB", "L") else _eight_bit(upright)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # Pillow raises many kinds over damaged EXIF; the pixels are whole, so they are taken as stored
        return image
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring any other mode to "RGB" or "L"."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("32-bit pixels beyond 16 bits have no known range")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("float pixels have no known range")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        black = Image.new("RGBA", seen.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, seen).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class Judged:
    """What decoding an image once has shown: its hash, its size upright, and why it does not decode (None: it does)."""

    sha256: str
    width_px: int = 0
    height_px: int = 0
    reason: str | None = None


def judge(data: bytes) -> Judged:
    """Decode an image for its size alone; never raises for what the bytes hold."""
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = decode(data)
    except Exception as error:  # whatever a decoder raises over damaged bytes, the image does not decode
        return Judged(sha256, reason=str(error) or type(error).__name__)
    return Judged(sha256, image.width, image.height)


def write_shard(folder: Path, rows: Sequence[ImageRow]) -> None:
    """Write ``images.parquet`` into ``folder``; the image column is not compressed (it already is)."""
    columns: dict[str, list[Any]] = {name: [] for name in SHARD_SCHEMA.names}
    for row in rows:
        suffix = "jpg" if row.data[:2] == _JPEG else "png"
        columns["image"].append({"bytes": row.data, "path": f"{row.image_id}.{suffix}"})
        columns["index"].append(row.index)
        columns["image_id"].append(row.image_id)
        columns["class_id"].append(row.class_id)
        columns["prompt"].append(row.prompt)
        columns["seed"].append(row.seed)
        columns["attempt"].append(row.attempt)
        columns["width_px"].append(row.width_px)
        columns["height_px"].append(row.height_px)
        columns["sha256"].append(hashlib.sha256(row.data).hexdigest())
        columns["flags"].append(list(row.flags))
    write_table(folder / SHARD_FILE, pa.table(columns, schema=SHARD_SCHEMA))


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that lies outside the store: its location in its place (see `inplace`), and what judging it showed."""

    location: str
    image_id: str
    class_id: str | None
    judged: Judged


def write_found(folder: Path, found: Sequence[FoundImage]) -> None:
    """Write ``images.parquet`` of images that stay where they are: ``bytes`` null, ``path`` their location."""
    columns: dict[str, Any] = {name: pa.nulls(len(found), SHARD_SCHEMA.field(name).type) for name in SHARD_SCHEMA.names}
    columns["image"] = pa.array([{"bytes": None, "path": row.location} for row in found], _IMAGE)
    columns["index"] = np.arange(len(found), dtype=np.int64)
    columns["image_id"] = [row.image_id for row in found]
    columns["class_id"] = [row.class_id for row in found]
    columns["attempt"] = np.zeros(len(found), np.int32)
    columns["width_px"] = [row.judged.width_px for row in found]
    columns["height_px"] = [row.judged.height_px for row in found]
    columns["sha256"] = [row.judged.sha256 for row in found]
    columns["flags"] = [[] for _ in found]
    write_table(folder / SHARD_FILE, pa.table(columns, schema=SHARD_SCHEMA))


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file without compression or statistics that vary: equal tables give equal bytes."""
    pq.write_table(table, path, row_group_size=ROW_GROUP, compression="NONE", use_dictionary=False)


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, memory-mapped, only the columns asked for."""
    return pq.read_table(path, columns=list(columns) if columns else None, memory_map=True)


@dataclass(frozen=True)
class ImageSet:
    """An image set as a step sees it: the index's columns, and the encoded bytes behind each row.

    ``ids`` (N,) str; ``labels`` (N,) int64, -1 where the set has no labels, or an image of a multi-label set has none.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    table: pa.Table
    members: tuple[Artifact, ...]

    @classmethod
    def open(cls, artifact: Artifact) -> ImageSet:
        """Open an image-set input (index and members), or a data set's images without labels."""
        if not artifact.members:
            return cls.open_unlabelled(artifact)
        table = read_table(artifact.path / INDEX_FILE)
        labels = table["label"].to_numpy().astype(np.int64)
        return cls(table["image_id"].to_pylist(), labels, table, artifact.members)

    @classmethod
    def open_unlabelled(cls, artifact: Artifact) -> ImageSet:
        """Open bare image shards as a set whose labels are all -1."""
        parts = []
        for number, shard in enumerate(artifact.shards):
            rows = read_table(shard / SHARD_FILE, ["image_id", "sha256"])
            n = rows.num_rows
            parts.append(
                pa.table(
                    {
                        "image_id": rows["image_id"],
                        "label": np.full(n, -1, np.int64),
                        "member": np.zeros(n, np.int32),
                        "shard": np.full(n, number, np.int32),
                        "row": np.arange(n, dtype=np.int32),
                        "sha256": rows["sha256"],
                    },
                    schema=INDEX_SCHEMA,
                )
            )
        table = pa.concat_tables(parts)
        return cls(table["image_id"].to_pylist(), table["label"].to_numpy().astype(np.int64), table, (artifact,))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def label_lists(self) -> list[list[int]] | None:
        """All labels of each image of a multi-label set, ascending; None where an image has one label."""
        found: list[list[int]] | None = None
        if LABEL_LISTS.name in self.table.column_names:
            found = self.table[LABEL_LISTS.name].to_pylist()
        return found

    @cached_property
    def _places(self) -> list[tuple[int, int, int]]:
        columns = (self.table[name].to_pylist() for name in ("member", "shard", "row"))
        return list(zip(*columns, strict=True))

    def encoded(self) -> Iterator[bytes]:
        """Yield the encoded bytes of each image in index order; one shard is open at a time.

        An image that stays where it was found is read there; ``ValueError`` if it changed after it was indexed.
        """
        opened: tuple[int, int] | None = None
        data: Any = None
        path: Any = None
        sha256: Any = None
        places = [InPlace(artifact.place or "") for artifact in self.members]
        for member, shard, row in self._places:
            if (member, shard) != opened:
                table = read_table(self.members[member].shards[shard] / SHARD_FILE, ["image", "sha256"])
                image = table["image"].combine_chunks()
                data, path, sha256 = image.field("bytes"), image.field("path"), table["sha256"].combine_chunks()
                opened = (member, shard)
            here = data[row].as_py()
            if here is None:
                here = places[member].read(path[row].as_py(), sha256=sha256[row].as_py())
            yield here


def write_index(
    path: Path,
    rows: Iterable[tuple[str, int, int, int, int, str]],
    *,
    label_lists: Sequence[Sequence[int]] | None = None,
) -> None:
    """Write ``index.parquet``: rows of (image id, label, member, shard, row, sha256).

    ``label_lists``: all labels of each row, ascending, of a multi-label set; ``label`` is then the first, or -1.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(INDEX_SCHEMA.names)
    table = pa.table({n: list(c) for n, c in zip(INDEX_SCHEMA.names, columns, strict=True)}, schema=INDEX_SCHEMA)
    if label_lists is not None:
        table = table.append_column(LABEL_LISTS, pa.array(label_lists, LABEL_LISTS.type))
    write_table(path / INDEX_FILE, table)


def write_labels(
    path: Path,
    rows: Iterable[tuple[str, str | None]],
    *,
    class_lists: Sequence[Sequence[str]] | None = None,
    more: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write ``labels.parquet``: rows of (sample id, class id), the only truth for scoring.

    ``class_lists``: all class ids of each row of a multi-label set; ``class_id`` is then the first in the order of the
    class list, None where an image has no class. ``more``: further columns by name, a value for each row; what a bias
    task's scorer reads besides the class.
    """
    rows = list(rows)
    table = pa.table({"sample_id": [r[0] for r in rows], "class_id": [r[1] for r in rows]}, schema=LABELS_SCHEMA)
    if class_lists is not None:
        table = table.append_column(CLASS_LISTS, pa.array(class_lists, CLASS_LISTS.type))
    for name, values in (more or {}).items():
        table = table.append_column(name, pa.array(values))
    write_table(path / LABELS_FILE, table)


# ── The training copy ────────────────────────────────────────────────────────────────────────────

PACK_ROWS = 2000
PACK_SCHEMA = pa.schema([("image", _IMAGE), ("image_id", pa.string()), ("label", pa.int64())])


def write_pack(folder: Path, rows: Iterable[tuple[str, int, bytes]]) -> int:
    """Write rows of (image id, label or -1, bytes) as ``pack-NNNNN.parquet`` files of 2,000; return their number.

    Rows are ordered by the SHA-256 of the image id: shuffled over classes, and the same whatever order they came in.
    """
    ordered = sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).digest())
    for number, start in enumerate(range(0, max(len(ordered), 1), PACK_ROWS)):
        chunk = ordered[start : start + PACK_ROWS]
        table = pa.table(
            {
                "image": [{"bytes": data, "path": image_id} for image_id, _, data in chunk],
                "image_id": [image_id for image_id, _, _ in chunk],
                "label": [label for _, label, _ in chunk],
            },
            schema=PACK_SCHEMA,
        )
        write_table(folder / f"pack-{number:05d}.parquet", table)
    return len(ordered)


@dataclass(frozen=True)
class Pack:
    """A training copy: image ids (N,), labels (N,) int64 (-1: none), and the encoded images."""

    ids: list[str]
    labels: NDArray[np.int64]
    column: pa.ChunkedArray

    @classmethod
    def open(cls, artifact: Artifact) -> Pack:
        table = pa.concat_tables(read_table(f) for f in sorted(artifact.path.glob("pack-*.parquet")))
        return cls(table["image_id"].to_pylist(), table["label"].to_numpy().astype(np.int64), table["image"])

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, i: int) -> NDArray[np.uint8]:
        """Decode image ``i``: (H, W, 3) uint8 sRGB, or (H, W) where it was stored grey."""
        return np.asarray(decode(self.column[i]["bytes"].as_py()))
