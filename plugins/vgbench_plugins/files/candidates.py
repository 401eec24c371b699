"""What a reader of files finds before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What Pillow's own readers (vgbench.images.FORMATS) go by.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".ppm", ".pgm", ".pbm", ".tif", ".tiff")
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that may be used: where it lies (see `vgbench.inplace`), its id, the name its files give its class."""

    location: str
    image_id: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, what was left aside by reason, and what to try when the class names do not match."""

    candidates: Sequence[Candidate]
    aside: Mapping[str, int] = field(default_factory=dict)
    hint: str = ""
