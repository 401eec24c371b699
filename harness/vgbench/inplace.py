"""Read images where they lie: plain files, rows of Parquet and Arrow files, members of tars. Nothing is copied.

A location is relative to its place: ``cat/1.jpg`` a file, ``train.parquet#image[17]`` column and row (``.arrow``
alike), ``train.tar#2048+911`` offset and size in bytes, ``train.zip@cat/1.jpg`` a zip's member. A place that is one
file is called "" in its own locations: ``@cat/1.jpg`` is a member of the zip that the place is. ``…#border=2`` at the
end leaves out a border of so many pixels.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
import zlib
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vgbench.listing import root_of

_ROW = re.compile(r"(.*)#(.+)\[(\d+)\]", re.DOTALL)
_SPAN = re.compile(r"(.*)#(\d+)\+(\d+)", re.DOTALL)
_MEMBER = re.compile(r"(.*?\.zip|)@(.+)", re.DOTALL)
_BORDER = re.compile(r"(.*)#border=(\d+)", re.DOTALL)
GROUPS_BYTES = 256 << 20  # decoded row groups kept: a data set of small images is decoded once, whatever the order
MODEL_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # not the same weights again in other formats
OPEN_TABLES = 64  # below the usual limit of open files
OPEN_ZIPS = 16  # a data set has a few
# What zipfile raises of a member whose bytes, or whose own header, are not what the zip's directory says.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def local(place: str) -> str:
    """Return where a place lies on this machine.

    A repository of the Hugging Face Hub (``hf://owner/name@commit`` a data set, ``hf://models/owner/name@commit`` a
    model) comes from the Hub's cache, or is downloaded into it; offline the Hub's client raises. Needs the extra
    ``[hf]``.
    """
    if not place.startswith("hf://"):
        return place
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ValueError(f"{place} needs the Hub's client: pip install 'vgbench[hf]'") from error
    name, _, commit = place.removeprefix("hf://").partition("@")
    kind, repo_id = repository(name)
    files = MODEL_FILES if kind == "model" else None
    return str(snapshot_download(repo_id, repo_type=kind, revision=commit, allow_patterns=files))


def repository(name: str) -> tuple[str, str]:
    """Return what a repository of the Hub is, ``dataset`` or ``model``, and what the Hub calls it."""
    kind, _, rest = name.partition("/")
    return ("model", rest) if kind == "models" and "/" in rest else ("dataset", name)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a location says: the file, and which part of it, all of it where nothing else is said."""

    file: str
    span: tuple[int, int] | None = None  # offset and size in bytes
    row: tuple[str, int] | None = None  # column and row
    member: str | None = None
    border_px: int | None = None


class InPlace:
    """The images of a place, read by their locations."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._root: Path | None = None
        self._tables: OrderedDict[str, _Rows] = OrderedDict()
        self._zips: OrderedDict[str, zipfile.ZipFile] = OrderedDict()
        self._groups: OrderedDict[tuple[str, str, int], pa.Array] = OrderedDict()
        self._kept_bytes = 0

    def read(self, location: str, *, sha256: str | None = None) -> bytes:
        """Return an image's encoded bytes; empty where a row holds none.

        Raises ``ValueError`` naming the file when it cannot be read, or its bytes have another ``sha256`` than the
        one it was indexed with.
        """
        name = location
        try:
            parts = self._parts(location)
            name = location if parts.border_px is None else location.rpartition("#")[0]
            data = self._read(parts)
            if parts.border_px is not None:
                data = without_border(data, parts.border_px)
        except (OSError, IndexError, KeyError, pa.ArrowException, *DAMAGED_ZIP) as error:
            raise ValueError(f"{self.root / name}: cannot be read: {error}") from error
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError(f"{self.root / name} changed after it was indexed; the same command indexes it again")
        return data

    @property
    def root(self) -> Path:
        """Return what locations are relative to."""
        if self._root is None:
            self._root = root_of(local(self._place))
        return self._root

    def file(self, location: str) -> Path:
        """Return the file that `read` opens for a location, whether or not it is there.

        For whoever has a location from others and must know what it names, before anything is read.
        """
        return self.root / self._parts(location).file

    def _parts(self, location: str) -> _Parts:
        border_px = None
        if bordered := _BORDER.fullmatch(location):
            location, border_px = bordered[1], int(bordered[2])
        if span := _SPAN.fullmatch(location):
            return _Parts(span[1], span=(int(span[2]), int(span[3])), border_px=border_px)
        if row := _ROW.fullmatch(location):
            return _Parts(row[1], row=(row[2], int(row[3])), border_px=border_px)
        member = _MEMBER.fullmatch(location)
        if member and (member[1] or self.root.is_file()):  # else a file whose name begins with "@"
            return _Parts(member[1], member=member[2], border_px=border_px)
        return _Parts(location, border_px=border_px)

    def _read(self, parts: _Parts) -> bytes:
        if parts.span is not None:
            offset, size = parts.span
            with (self.root / parts.file).open("rb") as file:
                end = os.fstat(file.fileno()).st_size
                if offset + size > end:  # asked for as it stands, memory is taken for all of a size of others
                    raise EOFError(f"the file ends at {end}")
                file.seek(offset)
                return file.read(size)
        if parts.row is not None:
            value = self._row(parts.file, *parts.row)
            return b"" if value is None else value
        if parts.member is not None:
            return self._zip(parts.file).read(parts.member)
        return (self.root / parts.file).read_bytes()

    def _row(self, name: str, column: str, row: int) -> bytes | None:
        table = self._table(name)
        group, offset = table.group(row)
        key = name, column, group
        if key not in self._groups:
            self._groups[key] = table.values(group, column)
            self._kept_bytes += self._groups[key].nbytes
            while self._kept_bytes > GROUPS_BYTES and len(self._groups) > 1:
                _, oldest = self._groups.popitem(last=False)
                self._kept_bytes -= oldest.nbytes
        values = self._groups[key]
        value = values[offset].as_py()
        if not isinstance(value, bytes | None):
            raise KeyError(f"{column} holds no images")
        return value

    def _zip(self, name: str) -> zipfile.ZipFile:
        if name not in self._zips:
            self._zips[name] = zipfile.ZipFile(self.root / name)
            if len(self._zips) > OPEN_ZIPS:
                self._zips.popitem(last=False)[1].close()
        return self._zips[name]

    def _table(self, name: str) -> _Rows:
        if name not in self._tables:
            self._tables[name] = _Rows(self.root / name)
            if len(self._tables) > OPEN_TABLES:
                self._tables.popitem(last=False)
        return self._tables[name]


def without_border(data: bytes, border_px: int) -> bytes:
    """Return an encoded image without a border of ``border_px`` on each side, as PPM.

    No pixel inside changes, and PPM has the same bytes whatever compresses elsewhere, so they can be known by a hash.
    """
    image = Image.open(io.BytesIO(data)).convert("RGB")
    buffer = io.BytesIO()
    inside = image.crop((border_px, border_px, image.width - border_px, image.height - border_px))
    inside.save(buffer, "PPM")
    return buffer.getvalue()


class _Rows:
    """A Parquet file by row group, or an Arrow file by record batch (memory-mapped)."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            magic = file.read(4)
        self._parquet: Any = None
        self._batches: list[Any] = []
        if magic == b"PAR1":
            self._parquet = pq.ParquetFile(path, memory_map=True)
            metadata = self._parquet.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        else:
            self._batches = open_arrow(path).to_batches()
            sizes = [batch.num_rows for batch in self._batches]
        self._ends = list(accumulate(sizes))

    def group(self, row: int) -> tuple[int, int]:
        """Return the group that holds a row, and the row's position in it."""
        group = bisect_right(self._ends, row)
        return group, row - (self._ends[group - 1] if group else 0)

    def values(self, group: int, column: str) -> pa.Array:
        """Return the encoded images of a group: a binary array."""
        if self._parquet is not None:
            found = self._parquet.read_row_group(group, columns=[column], use_threads=False)[column].combine_chunks()
        else:
            found = self._batches[group].column(column)
        return found.field("bytes") if pa.types.is_struct(found.type) else found


def open_arrow(path: Path) -> pa.Table:
    """Open an Arrow file or stream (what `datasets` saves), memory-mapped; ``ArrowInvalid`` when it is neither."""
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
