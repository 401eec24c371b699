"""Find the images of a publication by class id, whatever holds them: folders, tars, zips, or folders of those.

An archive counts as a folder of its name, without the suffix: ``train.zip`` that holds ``n01440764/1.jpg`` and the
folder ``train/n01440764`` are read alike, and so is ``train/n01440764.tar`` that holds ``1.jpg``. Nothing is unpacked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePosixPath

from vgbench import Made, Step
from vgbench.archives import Member, tar_files, zip_files
from vgbench.listing import Listing
from vgbench_plugins.files.candidates import SUFFIXES, Candidate, Found
from vgbench_plugins.files.indexing import index, listing_of
from vgbench_plugins.files.matching import plain
from vgbench_plugins.published.manifests import File, listed

WNID = re.compile(r"n\d{8}")  # a synset's id: part of speech and offset, as ImageNet names its classes
NAMED_BY_WNID = re.compile(r"(n\d{8})_.*")  # as ImageNet names its files: n01440764_10026.JPEG
SPLITS = {  # as folders and archives are called
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
PACKED = {  # suffix → what unpacks it once, so that its members can be read in place
    (".tar", ".gz"): "gunzip",
    (".tgz",): "gunzip",
    (".tar", ".bz2"): "bunzip2",
    (".tbz2",): "bunzip2",
    (".tar", ".xz"): "unxz",
    (".txz",): "unxz",
    (".tar", ".zst"): "unzstd --rm",
}
# No image that is read (`vgbench.images`: 50 megapixels) needs more: four channels of 16 bits. A zip can say that a
# member of a few kilobytes is larger than the memory.
MAX_BYTES = 8 * 50_000_000
HINT = "A class folder, or a class's archive, is named by class id, name or synonym"


@dataclass(frozen=True, slots=True)
class Image:
    """An image, its class as its folders name it ("" if none does), and how many folders stand above that class."""

    file: File
    class_name: str
    n_above: int


def index_published(step: Step) -> Made:
    """Index the images of a publication."""
    listing = listing_of(step)
    return index(step, listing, find(listing, step))


def find(listing: Listing, step: Step) -> Found:
    """Return the images of the asked split that the manifest, if there is one, lists.

    Raises ``ValueError`` naming the archive that cannot be read in place or is not whole, the split that is not there,
    and what the manifest lists otherwise.
    """
    aside: Counter[str] = Counter()
    files = list(_files(listing, aside))
    if step.params.get("manifest") is not None:
        all_there = files
        files = listed(listing, all_there, step)
        aside["not in the manifest"] += sum(map(_is_image, all_there)) - sum(map(_is_image, files))
    ids = {plain(entry["id"]) for entry in step.params["classes"]}
    images = [_image(file, ids) for file in files if _is_image(file)]
    aside["not an image file"] += len(files) - len(images)
    chosen = _of_split(listing, images, step.params["split"], aside)
    if not chosen:
        raise ValueError(f"{listing.root}: no image lies there in a class folder or an archive ({_told(aside)})")
    return Found(_numbered(chosen), aside, HINT)


# ── What lies there ──────────────────────────────────────────────────────────────────────────────


def _files(listing: Listing, aside: Counter[str]) -> Iterator[File]:
    for name in listing.files:
        suffix = listing.path(name).suffix  # a place that is one file is named "" in its own listing
        if suffix == ".tar":
            yield from _members(listing, name, tar_files(listing.path(name)), aside)
        elif suffix == ".zip":
            yield from _members(listing, name, zip_files(listing.path(name)), aside)
        else:
            yield File(name, name)


def _members(listing: Listing, name: str, members: Iterable[Member], aside: Counter[str]) -> Iterator[File]:
    folder, archive = name.rpartition(".")[0], listing.path(name)
    seen: set[str] = set()
    for member in members:
        inside = "/".join(part for part in member.name.replace("\\", "/").split("/") if part not in ("", "."))
        fault = member.fault or ("larger than any image" if member.size > MAX_BYTES else None)
        if fault is not None:
            aside[fault] += 1
        elif any(part.startswith(".") for part in inside.split("/")):
            aside["a hidden file"] += 1
        elif inside in seen:
            raise ValueError(f"{archive}: two members are called {inside}, so which one is meant cannot be known")
        elif inside.endswith((".tar", ".zip")) or _unpacks(inside):
            raise ValueError(f"{archive}: it holds the archive {inside}: unpack {archive.name}, and name the folder")
        else:
            seen.add(inside)
            place = f"{name}@{member.name}" if archive.suffix == ".zip" else f"{name}#{member.offset}+{member.size}"
            yield File(place, f"{folder}/{inside}" if folder else inside, within=name)


def _unpacks(path: str) -> str | None:
    """Return the command that unpacks a compressed tar; None for anything else."""
    suffixes = tuple(PurePosixPath(path.lower()).suffixes)
    return next((command for packed, command in PACKED.items() if suffixes[-len(packed) :] == packed), None)


def _is_image(file: File) -> bool:
    return PurePosixPath(file.path).suffix.lower() in SUFFIXES


# ── Whose image it is ────────────────────────────────────────────────────────────────────────────


def _image(file: File, ids: Set[str]) -> Image:
    """Find an image's class.

    The deepest folder that is an asked class's id or any synset's is the class; else a file's own name, if it begins
    with a synset's id; else the folder it lies in, which may be a class's name.
    """
    *folders, base = file.path.split("/")
    for depth in reversed(range(len(folders))):
        is_split = folders[depth].lower() in SPLITS and depth < len(folders) - 1  # CIFAR-100 has a class "train"
        if not is_split and (WNID.fullmatch(folders[depth]) or plain(folders[depth]) in ids):
            return Image(file, folders[depth], depth)
    if named := NAMED_BY_WNID.fullmatch(base):
        return Image(file, named[1], len(folders))
    if not folders or folders[-1].lower() in SPLITS:
        return Image(file, "", len(folders))
    return Image(file, folders[-1], len(folders) - 1)


def _of_split(listing: Listing, images: Sequence[Image], asked: str, aside: Counter[str]) -> list[Image]:
    """Return the images of one split; those of another are counted, never mixed in."""
    by_split: dict[str, list[Image]] = {}
    for image in images:
        if image.class_name:
            by_split.setdefault(_split(image.file.path.split("/")[: image.n_above]), []).append(image)
        else:
            aside["not in a class folder"] += 1
    packed = {name: _split(name.split("/")) for name in listing.files if _unpacks(listing.path(name).name)}
    there = {*by_split, *packed.values()}
    split = asked or ("train" if "train" in there else "")
    if there and split not in there:
        known = " or ".join(f"split={name}" for name in sorted(there - {""}))
        what = f"no image of split {asked!r}" if asked else "each image is of a split, and none of train"
        raise ValueError(f"{listing.root}: {what}; {f'say {known}' if known else 'leave split= out'}")
    for name, of in packed.items():
        if of == split:
            path = listing.path(name)
            raise ValueError(f"{path}: a compressed tar cannot be read in place; type: {_unpacks(path.name)} {path}")
    for other in by_split.keys() - {split}:
        aside[f"of split {other}" if other else "of no split"] += len(by_split[other])
    return by_split.get(split, [])


def _split(folders: Sequence[str]) -> str:
    """Return the split that folders name; "" where none does.

    The deepest that is called so; else the deepest that has the word in its name: ``train-000``,
    ``ILSVRC2012_img_val``. A name with the words of two splits names none.
    """
    for folder in reversed(folders):
        if folder.lower() in SPLITS:
            return SPLITS[folder.lower()]
    for folder in reversed(folders):
        named = {SPLITS[word] for word in re.split(r"[^a-z]+", folder.lower()) if word in SPLITS}
        if len(named) == 1:
            return named.pop()
    return ""


def _numbered(images: Sequence[Image]) -> list[Candidate]:
    """Give each image its id: the path from its class on, or, where two would share one, the path of each.

    So a smaller request chooses the same images of a folder, of its zip, and of one tar for each class; and several
    versions of one publication, whose files have equal names, can lie side by side.
    """
    ids = [f"{image.class_name}/{_below(image)}" for image in images]
    if len(set(ids)) < len(ids):
        ids = [image.file.path for image in images]
    return [Candidate(image.file.location, i, image.class_name) for image, i in zip(images, ids, strict=True)]


def _below(image: Image) -> str:
    """Return the path below the class's folder; the file's own name, if it names the class."""
    parts = image.file.path.split("/")
    return "/".join(parts[min(image.n_above + 1, len(parts) - 1) :])


def _told(aside: Mapping[str, int]) -> str:
    return "; ".join(f"{n} {reason}" for reason, n in aside.items() if n) or "nothing else either"
