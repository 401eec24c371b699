"""An image set row by row, for those who show or export it: bytes as stored, label, prompt, kind of file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from vgbench.images import SHARD_FILE, ImageSet, read_table

# The first bytes of a file, and the suffix its kind goes by (RFC 2083, ISO 10918-1, RFC 9649, GIF89a, BMP, TIFF 6.0).
_MAGIC = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"RIFF", ".webp"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a set: its encoded bytes, its label, and what was recorded of it."""

    image_id: str
    label: int
    sha256: str
    data: bytes
    prompt: str | None

    @property
    def suffix(self) -> str:
        """The file name's suffix for these bytes, ``.bin`` for a kind that we do not know."""
        return next((suffix for magic, suffix in _MAGIC if self.data.startswith(magic)), ".bin")


def samples(found: ImageSet) -> Iterator[Sample]:
    """Yield a set's images in index order."""
    hashes = found.table["sha256"].to_pylist()
    columns = found.ids, found.labels.tolist(), hashes, found.encoded(), _prompts(found)
    for image_id, label, sha256, data, prompt in zip(*columns, strict=True):
        yield Sample(image_id, label, sha256, data, prompt)


def in_store_order(found: ImageSet) -> ImageSet:
    """Return the set ordered as its bytes lie in the store, so that each shard is read once."""
    table = found.table.sort_by([(name, "ascending") for name in ("member", "shard", "row")])
    return ImageSet(table["image_id"].to_pylist(), table["label"].to_numpy(), table, found.members)


def _prompts(found: ImageSet) -> Iterator[str | None]:
    """Yield each image's prompt; None where the shard records none."""
    opened: tuple[int, int] | None = None
    prompts: Any = None
    places = (found.table[name].to_pylist() for name in ("member", "shard", "row"))
    for member, shard, row in zip(*places, strict=True):
        if (member, shard) != opened:
            path = found.members[member].shards[shard] / SHARD_FILE
            known = path.exists() and "prompt" in pq.read_schema(path).names
            prompts = read_table(path, ["prompt"])["prompt"].to_pylist() if known else None
            opened = (member, shard)
        yield prompts[row] if prompts else None
