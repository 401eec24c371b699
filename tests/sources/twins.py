"""Miniature twins of publications: the same images in every layout in which such archives are found."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tests.sources.drawn import digit_png, write_tar

from vgbench.images import ImageSet

WNIDS = ("n01440764", "n02102040", "n03000684")
CLASSES = [
    {"id": wnid, "name": name, "synonyms": []}
    for wnid, name in zip(WNIDS, ("tench", "English springer", "chain saw"), strict=True)
]
N = 4  # of each class
Files = Mapping[str, bytes]


def images(n: int = N, *, seed: int = 0, suffix: str = "JPEG") -> dict[str, bytes]:
    """Return a split's images by path, as ImageNet names them: WNID/WNID_NUMBER.JPEG (the bytes are PNG)."""
    return {
        f"{wnid}/{wnid}_{i}.{suffix}": digit_png(digit, seed + i) for digit, wnid in enumerate(WNIDS) for i in range(n)
    }


def val_images() -> dict[str, bytes]:
    return {f"{wnid}/ILSVRC2012_val_{digit:08d}.JPEG": digit_png(digit, 50) for digit, wnid in enumerate(WNIDS)}


def below(prefix: str, files: Files) -> dict[str, bytes]:
    return {f"{prefix}/{path}": data for path, data in files.items()}


def write_folder(root: Path, files: Files) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def write_zip(path: Path, members: Iterable[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def write_linked_tar(path: Path, files: Files, kind: bytes) -> Path:
    """Write a tar whose last member is a link (``tarfile.SYMTYPE``, ``LNKTYPE``) of an image's name, or a device."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo(f"{WNIDS[0]}/link.png")
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link)
    return path


# ── The layouts: what a user has after a download ────────────────────────────────────────────────


def genrobust(root: Path) -> Path:
    """As GenRobust's two folders on Drive: train and val of class folders (protocols §4.2)."""
    return write_folder(root, _with_val("Base-Generated-ImageNet-1K/"))


def genrobust_as_drive_packs_it(root: Path) -> Path:
    """A large folder of Drive comes as several zips, each with some of the files."""
    members = list(_with_val("Base-Generated-ImageNet-1K/").items())
    for part in range(3):
        write_zip(root / f"Base-Generated-ImageNet-1K-{part:03d}.zip", members[part::3])
    return root


def realfake(root: Path) -> Path:
    """As RealFake's code saves its images: {syn}/train/WNID/NAME.jpg, with file_list.txt (protocols §4.1)."""
    write_folder(root / "syn", below("train", images(suffix="jpg")))
    write_file_list(root / "syn" / "file_list.txt")
    return root


def write_file_list(path: Path) -> Path:
    lines = [f"/{name} {WNIDS.index(name.partition('/')[0])}\n" for name in images()]
    path.write_text("".join(lines))
    return path


def class_folders(root: Path) -> Path:
    return write_folder(root, images())


def one_zip(root: Path, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    return write_zip(root / "all.zip", _with_val("").items(), method=method)


def one_tar(root: Path) -> Path:
    return write_tar(root / "all.tar", _with_val("./").items())


def a_tar_for_each_class(root: Path) -> Path:
    """As ImageNet's own: WNID.tar holds the class's files, without a folder."""
    for wnid in WNIDS:
        files = [(name.partition("/")[2], data) for name, data in images().items() if name.startswith(wnid)]
        write_tar(root / "train" / f"{wnid}.tar", files)
    return root


def sharded_tars(root: Path) -> Path:
    members = list(images().items())
    for shard in range(3):
        write_tar(root / f"train-{shard:03d}.tar", members[shard::3])
    write_tar(root / "val-000.tar", val_images().items())
    return root


def flat_shards(root: Path) -> Path:
    """Members without a folder, named by class as ImageNet names its files."""
    members = [(name.partition("/")[2], data) for name, data in images().items()]
    write_tar(root / "train-000.tar", members[::2])
    write_zip(root / "train-001.zip", members[1::2])
    return root


def zip_for_each_split(root: Path) -> Path:
    write_zip(root / "train.zip", images().items())
    write_zip(root / "val.zip", val_images().items())
    return root


LAYOUTS: Mapping[str, Callable[[Path], Path]] = {
    "genrobust": genrobust,
    "genrobust-zips": genrobust_as_drive_packs_it,
    "realfake": realfake,
    "class-folders": class_folders,
    "zip-deflated": one_zip,
    "zip-stored": partial(one_zip, method=zipfile.ZIP_STORED),
    "tar": one_tar,
    "tar-for-each-class": a_tar_for_each_class,
    "tars": sharded_tars,
    "flat-shards": flat_shards,
    "zip-for-each-split": zip_for_each_split,
}
WITH_VAL = {"genrobust", "genrobust-zips", "zip-deflated", "zip-stored", "tar", "tars", "zip-for-each-split"}


def _with_val(prefix: str) -> dict[str, bytes]:
    train, val = below(f"{prefix}train", images()), below(f"{prefix}val", val_images())
    return {**val, **train}  # what should be left out comes first


def rows(found: ImageSet) -> list[tuple[int, str, str]]:
    """Return (label, id without its suffix, sha256) of each image, sorted."""
    hashes = found.table["sha256"].to_pylist()
    stems = [image_id.rpartition(".")[0] for image_id in found.ids]
    return sorted(zip(found.labels.tolist(), stems, hashes, strict=True))
