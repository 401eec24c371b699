"""Things from outside → identity. A key holds what a thing is, never where it lies."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from vgbench.errors import NotObserved, UsageError
from vgbench.store import hash_file
from vgbench.types import DatasetSpec, Place, WeightsSpec, canonical_json, sha256_hex


@dataclass(slots=True)
class Locator:
    """Find declared data sets, weights and user paths, and say what they are. Each is hashed once per process."""

    _identities: dict[str, str] = field(default_factory=dict)

    def dataset(self, spec: DatasetSpec) -> Place:
        """Return where a data set lies, after comparing its bytes with the observed identity."""
        return self._pinned("data set", spec.name, spec.place, spec.sha256)

    def weights(self, spec: WeightsSpec) -> Place:
        """Return where weights lie, after comparing their bytes with the observed identity."""
        return self._pinned("weights", spec.name, spec.place, spec.sha256)

    def path(self, value: str) -> Place:
        """Return a user's file or folder with its identity; ``UsageError`` when nothing lies there."""
        path = Path(value).expanduser().resolve()
        if not path.exists():
            raise UsageError(f"{value}: no such file or folder")
        return Place(self._identity(path), str(path))

    def _pinned(self, kind: str, name: str, place: str, expected: str | None) -> Place:
        path = packaged(place)
        if path is None:
            raise NotObserved(f"{kind} {name!r}: {place} is not here")
        if expected is None:
            raise NotObserved(f"{kind} {name!r}: nobody has observed its checksum")
        found = self._identity(path)
        if found != expected:
            raise NotObserved(
                f"{kind} {name!r}: {path} has SHA-256 {found[:12]}…, expected {expected[:12]}…",
                hint="the file changed upstream; results would not be comparable",
            )
        return Place(expected, str(path))

    def _identity(self, path: Path) -> str:
        key = str(path)
        if key not in self._identities:
            self._identities[key] = identity(path)
        return self._identities[key]


def identity(path: Path) -> str:
    """Return a file's SHA-256, or that of a folder's sorted (name, size, sha256) listing."""
    if path.is_file():
        return hash_file(path)
    listing = [
        [file.relative_to(path).as_posix(), file.stat().st_size, hash_file(file)]
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return sha256_hex(canonical_json(listing))


def packaged(place: str) -> Path | None:
    """Return the file that ``package:file`` names, without importing the package; None when it is not installed."""
    package, _, file = place.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / file
    return path if path.exists() else None
