"""What the readers of real data sets find: samples by the names that upstream gives its splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# What upstreams call their splits, and what we call them. Any other name ("dev_seen") stays as it is.
SPLITS = {"validation": "val", "valid": "val", "testing": "test", "training": "train"}
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".ppm", ".tif", ".tiff"))


@dataclass(frozen=True, slots=True)
class Sample:
    """An image: a stable id, where it lies (see `vgbench.inplace`), and its class ids in the order of the class list.

    Several class ids only in a multi-label set, where there may also be none.
    """

    sample_id: str
    location: str
    class_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """A data set in one layout: its splits, each read when it is asked for.

    ``is_protocol``: the splits are those of the protocol itself (ELEVATER's own files, a standard copy), so that no
    rule is needed to make ours of them.
    """

    layout: str
    splits: Mapping[str, Callable[[], Sequence[Sample]]]
    is_protocol: bool = False


def split_name(upstream: str) -> str:
    """Return what we call a split."""
    return SPLITS.get(upstream.lower(), upstream.lower())
