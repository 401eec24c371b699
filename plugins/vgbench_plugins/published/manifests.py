"""Lists of what a publication holds: checksums as sha256sum and md5sum write them, or RealFake's PATH LABEL lines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vgbench import Step
from vgbench.inplace import InPlace
from vgbench.listing import Listing
from vgbench_plugins.files.candidates import SUFFIXES

SUMMED = re.compile(r"(\\?)([0-9a-fA-F]+) [ *](.+)")  # GNU coreutils; a backslash ahead: the name has escapes
LABELLED = re.compile(r"(.+?)\s+(\d+)")  # /n01440764/n01440764_10026.JPEG 0 (protocols §4.1)
ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # by hexadecimal digits
ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
SHOWN = 5
TELL = 1000  # files between reports of progress


@dataclass(frozen=True, slots=True)
class File:
    """A file, or a member of one: where it lies (see `vgbench.inplace`), and its path if archives were folders.

    ``within``: the name of the archive that holds it.
    """

    location: str
    path: str
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list: a path, its hash if there is one (lower-case hexadecimal digits), its label if there is one."""

    path: str
    digest: str = ""
    label: str = ""


def listed(listing: Listing, files: Sequence[File], step: Step) -> list[File]:
    """Return the files that the param ``manifest`` lists, itself or their archive, after comparing hashes.

    A path of the list is the whole path of a file, or the end of one only. Raises ``ValueError`` naming what is listed
    and is not there, could be several files, or has another hash; both hashes are given.
    """
    manifest = Path(step.params["manifest"].path)
    lines = _read(manifest, step.params["manifest"].identity)
    has_labels = any(line.label for line in lines)
    archives = {file.within for file in files if file.within is not None}
    # An archive can be listed, or what it holds. A place that is one file is named "" in its own listing.
    whole = [File(name, name or listing.root.name) for name in sorted(archives)]
    found = _found(manifest, lines, [*whole, *files], _bare if has_labels else str)
    _compare(manifest, listing, [(line, file) for line, file in zip(lines, found, strict=True) if line.digest], step)
    named = {file.location for file in found}
    return [file for file in files if file.location in named or file.within in named]


def _read(manifest: Path, sha256: str) -> list[Line]:
    data = manifest.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{manifest} changed after it was planned with; the same command plans again")
    lines: dict[str, Line] = {}
    for number, text in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        if not text.strip():
            continue
        line = _line(text.removesuffix("\r"))
        if line is None:
            raise ValueError(
                f"{manifest}:{number}: {text[:80]!r} is neither HASH  PATH (sha256sum, md5sum) nor PATH LABEL"
            )
        if lines.setdefault(line.path, line) != line:
            raise ValueError(f"{manifest}:{number}: {line.path} stands twice, and not with the same")
    if not lines:
        raise ValueError(f"{manifest} lists nothing")
    _refuse_two_names(manifest, lines.values())
    return list(lines.values())


def _line(text: str) -> Line | None:
    if (summed := SUMMED.fullmatch(text)) and len(summed[2]) in ALGORITHMS:
        path = re.sub(r"\\[\\nr]", lambda m: ESCAPES[m[0]], summed[3]) if summed[1] else summed[3]
        return Line(_relative(path), digest=summed[2].lower())
    if labelled := LABELLED.fullmatch(text.strip()):
        return Line(_relative(labelled[1]), label=labelled[2])
    return None


def _relative(path: str) -> str:
    return path.lstrip("/").removeprefix("./")


def _refuse_two_names(manifest: Path, lines: Iterable[Line]) -> None:
    """Raise ``ValueError`` where a folder has two labels, or a label two folders: lines were mixed up."""
    folders: dict[str, str] = {}
    labels: dict[str, str] = {}
    for line in lines:
        if line.label:
            folder = line.path.rpartition("/")[0]
            label, other = folders.setdefault(folder, line.label), labels.setdefault(line.label, folder)
            if label != line.label:
                raise ValueError(f"{manifest}: {folder} has the labels {label} and {line.label}")
            if other != folder:
                raise ValueError(f"{manifest}: the label {line.label} is of {other} and of {folder}")


def _bare(path: str) -> str:
    """Return a path without its image suffixes: the list of 1.JPEG may have been published as 1.jpg or 1.JPEG.jpg."""
    while PurePosixPath(path).suffix.lower() in SUFFIXES:
        path = path.rpartition(".")[0]
    return path


def _found(manifest: Path, lines: Sequence[Line], files: Sequence[File], key: Callable[[str], str]) -> list[File]:
    """Return the file of each line."""
    depths = {line.path.count("/") + 1 for line in lines}
    by_end: dict[str, list[File]] = {}
    for file in files:
        parts = key(file.path).split("/")
        for depth in depths:
            if depth <= len(parts):
                by_end.setdefault("/".join(parts[-depth:]), []).append(file)
    found: list[File] = []
    missing: list[str] = []
    for line in lines:
        fitting = by_end.get(key(line.path), [])
        exact = [file for file in fitting if key(file.path) == key(line.path)]
        if len(exact or fitting) > 1:
            several = " or ".join(file.path for file in (exact or fitting)[:SHOWN])
            raise ValueError(f"{manifest}: {line.path} could be {several}: name a folder that holds one of them")
        found += exact or fitting
        missing += [] if fitting else [line.path]
    if missing:
        raise ValueError(f"{manifest}: {len(missing)} of {len(lines)} files it lists are not there: {_some(missing)}")
    return found


def _compare(manifest: Path, listing: Listing, pairs: Sequence[tuple[Line, File]], step: Step) -> None:
    place = InPlace(step.params["place"].path)
    wrong: list[str] = []
    for number, (line, file) in enumerate(pairs, 1):
        digest = _digest(listing, place, file, ALGORITHMS[len(line.digest)])
        if digest != line.digest:
            wrong.append(f"{file.path} has {digest}, the list says {line.digest}")
        if number % TELL == 0:
            step.progress(number, len(pairs))
    if wrong:
        raise ValueError(f"{manifest}: {len(wrong)} of {len(pairs)} files have other bytes: {_some(wrong)}")


def _digest(listing: Listing, place: InPlace, file: File, algorithm: str) -> str:
    if file.within is not None:
        return hashlib.new(algorithm, place.read(file.location)).hexdigest()
    with listing.path(file.location).open("rb") as opened:
        return hashlib.file_digest(opened, algorithm).hexdigest()


def _some(items: Sequence[str]) -> str:
    return "; ".join(items[:SHOWN]) + ("; …" if len(items) > SHOWN else "")
