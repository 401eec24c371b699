"""A twin of every real data set: a few tiny images in upstream's layout, and quirks of upstream that can be inverted.

Where an order of classes is a trap it is written out here, as upstream documents it; elsewhere it is the class list's.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tests.twins.writing import (
    CLASSES,
    Row,
    Truth,
    coco,
    entries,
    folders,
    hub,
    ids,
    iris,
    names,
    picture,
    rows,
    swapped,
    webdataset,
)

Build = Callable[[Path, str], Truth]
TEST, TRAIN, VAL = 1, 2, 3  # images of each class: all different, so that splits that were swapped have wrong sizes
COLUMN, NAMES, CUT, SPLIT, BASE = "image column", "order of names", "whole download", "names of splits", "labels from 0"


@dataclass(frozen=True)
class Twin:
    """How to write a twin, ``build(root, inverted quirk or "")``, and its quirks."""

    build: Build
    quirks: tuple[str, ...]


def _drawn(class_ids: Sequence[str], splits: Mapping[str, int], **how: Any) -> dict[str, list[Row]]:
    return {split: rows(class_ids, n, 100_000 * i, **how) for i, (split, n) in enumerate(splits.items())}


def _parquet(
    name: str,
    upstream: Mapping[str, str],
    *,
    declared: Callable[[], Sequence[str]],
    order: Callable[[], Sequence[str]],
    quirks: Sequence[str] = (),
    special: Callable[[str, dict[str, list[Row]], dict[str, Any]], None] = lambda quirk, splits, how: None,
    **how: Any,
) -> Twin:
    """Return a twin in Parquet. ``upstream``: our split → what upstream calls it; ``order``: class ids by number."""

    def build(root: Path, inverted: str) -> Truth:
        sizes = {split: {"train": TRAIN, "val": VAL, "test": TEST}[split] for split in upstream}
        truth = _drawn(ids(CLASSES_OF.get(name, name)), sizes)
        written = {upstream[split]: found for split, found in truth.items()}
        given: dict[str, Any] = {"image": "image", "label": "label", "more": {}, **how, "lost": inverted == CUT}
        given["declared"] = list(declared())
        given["label_of"] = {class_id: number for number, class_id in enumerate(order())}
        if inverted == COLUMN:
            given["image"] = "img" if given["image"] == "image" else "image"
        if inverted == NAMES:
            given["declared"] = swapped(given["declared"])
        if inverted == SPLIT:
            one, other, *_ = written
            written[one], written[other] = written[other], written[one]
        special(inverted, written, given)
        hub(root, written, given.pop("label_of"), **given)
        return Truth(truth)

    return Twin(build, (COLUMN, NAMES, CUT, SPLIT, *quirks))


def _wds(
    name: str,
    splits: Sequence[str] = ("train", "test"),
    *,
    listed: Callable[[], Sequence[str]] | None = None,
    order: Callable[[], Sequence[str]] | None = None,
    kind: str = "webp",
    quirks: Sequence[str] = (),
    special: Callable[[str, dict[str, list[Row]], dict[str, Any]], None] = lambda quirk, splits, how: None,
) -> Twin:
    """Return a twin in webdataset tars. ``listed``: the lines of classnames.txt; ``order``: class ids by number."""

    def build(root: Path, inverted: str) -> Truth:
        classes = CLASSES_OF.get(name, name)
        class_ids = ids(classes)
        encoding = {"webp": "WEBP", "jpg": "JPEG"}[kind]
        truth = _drawn(class_ids, {s: {"train": TRAIN, "test": TEST}[s] for s in splits}, kind=encoding)
        written = dict(truth)
        given: dict[str, Any] = {
            "classnames": list((listed or (lambda: names(classes)))()),
            "number_of": {class_id: i for i, class_id in enumerate((order or (lambda: class_ids))())},
            "kind": kind,
            "lost": inverted == CUT,
        }
        if inverted == NAMES:
            given["classnames"] = swapped(given["classnames"])
        if inverted == BASE:
            given["number_of"] = {class_id: i + 1 for class_id, i in given["number_of"].items()}
        if inverted == SPLIT:
            written = dict(zip(splits, swapped(list(truth.values())), strict=True)) if len(splits) == 2 else {}
            written = written or {"images": truth[splits[0]]}
        special(inverted, written, given)
        webdataset(root, written, given.pop("number_of"), **given)
        return Truth(truth)

    return Twin(build, (NAMES, CUT, BASE, SPLIT, *quirks))


def _devkit() -> list[str]:
    """Return the cars in the order of the original's devkit, cars_meta.mat."""
    found: list[str] = json.loads((CLASSES / "upstream.json").read_text())["stanford-cars"]["devkit"]
    return found


CLASSES_OF = {"imagenet-v2": "imagenet-1k", "imagenet-sketch": "imagenet-1k"}

# ── orders that are traps, as upstream documents them ────────────────────────────────────────────

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]  # batches.meta
KAGGLE = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]  # fer2013.csv: emotion 0..6
FER = ["angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"]  # classnames.txt: folders, sorted
# CLIP's prompts for KITTI, in VTAB's order: nearest vehicle within 8 m, within 20 m, beyond, none
KITTI = [
    "a photo i took of a car on my left or right side.",
    "a photo i took with a car nearby.",
    "a photo i took with a car in the distance.",
    "a photo i took with no car.",
]
FACES = 37, 38  # where CLIP_benchmark lists "off-center face", "centered face", as tfds does; ELEVATER has them swapped
VOC = ["aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"]
VOC += ["horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"]
EUROSAT = ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial"]  # the folders of 2750/
EUROSAT += ["Pasture", "PermanentCrop", "Residential", "River", "SeaLake"]


def _cifar100(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "coarse and fine label":
        how["more"] = {"fine_label": lambda split, row, class_id: how_number[class_id] // 5}
        how_number = {class_id: i for i, class_id in enumerate(sorted(ids("cifar-100")))}
        how["label"] = "coarse_label"
    if inverted == "the crab is called cra":
        how["declared"] = ["crayfish" if name == "cra" else name for name in how["declared"]]


def _pets(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    cats = {entry["id"] for entry in entries("oxford-iiit-pets") if entry["id"][0].isupper()}
    how["more"] = {
        "image_id": lambda split, row, class_id: f"{class_id}_{row if split == 'train' else row + 500}",
        "label_cat_dog": lambda split, row, class_id: int(class_id not in cats),
    }
    if inverted == "breed and species":
        breed = how["label_of"]
        how["more"] |= {"label": how["more"].pop("label_cat_dog")}
        how["label"], how["label_of"] = "label_breed", breed
    if inverted == "ids are unique":
        how["more"]["image_id"] = lambda split, row, class_id: class_id


def _imagenet(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    unlabelled = [(data, ("?",)) for data, _ in splits["validation"]]
    how["label_of"]["?"] = -1
    splits["test"] = unlabelled
    if inverted == "the test has no labels":
        splits["validation"], splits["test"] = splits["test"], splits["validation"]


def _cars(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "labels in the devkit's order":
        how["number_of"] = {class_id: i for i, class_id in enumerate(ids("stanford-cars"))}


def _fer(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "numbers are not Kaggle's":
        how["number_of"] = {class_id: i for i, class_id in enumerate(KAGGLE)}


def _caltech(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "a background class":
        how["classnames"].remove("background")
    if inverted == "capitals do not sort first":
        how["number_of"] = {class_id: i for i, class_id in enumerate(sorted(how["number_of"]))}
    if inverted == "which face is centred":
        how["classnames"] = swapped(how["classnames"], *FACES)


def _kitti(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "2 is distant, 3 is none":
        how["number_of"] = {"beside": 0, "nearby": 1, "distant": 3, "none": 2}


def _negated(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "which of two":
        how["number_of"] = {class_id: 1 - i for class_id, i in how["number_of"].items()}


def _numbered_as_text(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "numbers are not sorted as text":
        text = sorted(range(1000), key=str)
        how["number_of"] = {class_id: text.index(i) for class_id, i in how["number_of"].items()}


# ── twins of a kind of their own ─────────────────────────────────────────────────────────────────


def _food(inverted: str, splits: dict[str, list[Row]], how: dict[str, Any]) -> None:
    if inverted == "validation is the test":
        splits["evaluation"] = splits.pop("validation")


def _pcam(root: Path, inverted: str) -> Truth:
    truth = _drawn(["normal", "tumor"], {"train": 2 * TRAIN, "val": 2 * VAL, "test": 2 * TEST}, size=(96, 96))
    label_of: dict[str, Any] = {"normal": False, "tumor": True}
    if inverted == "true is tumour":
        label_of = {"normal": True, "tumor": False}
    if inverted == "labels are true and false":
        label_of = {"normal": 1, "tumor": 2}
    upstream = {"train": "train", "val": "valid", "test": "test"}
    if inverted == SPLIT:
        upstream = {"train": "train", "val": "test", "test": "valid"}
    hub(
        root,
        {upstream[split]: found for split, found in truth.items()},
        label_of,
        declared=None,
        lost=inverted == CUT,
        image="img" if inverted == COLUMN else "image",
    )
    return Truth(truth)


def _memes(root: Path, inverted: str) -> Truth:
    sizes = {"train": 6, "dev_seen": 1, "dev_unseen": 2, "test_seen": 3, "test_unseen": 4}
    upstream = _drawn(["non-hateful", "hateful"], sizes)
    truth = Truth({"train": upstream["train"], "test": upstream["dev_seen"]})
    if inverted == "dev_seen is the test":
        upstream["dev_seen"], upstream["test_seen"] = upstream["test_seen"], upstream["dev_seen"]
    number = {"non-hateful": 0, "hateful": 1}
    if inverted == "1 is hateful":
        number = {"non-hateful": 1, "hateful": 0}
    if inverted == "labels from 0":
        number = {"non-hateful": 1, "hateful": 2}
    (root / "img").mkdir()
    for split, found in upstream.items():
        lines = []
        for i, (data, of) in enumerate(found):
            name = f"img/{int(hashlib.sha256(data).hexdigest(), 16) % 100_000:05d}.png"
            if not (inverted == CUT and i == 0):
                (root / name).write_bytes(data)
            lines.append(json.dumps({"id": i, "img": name, "label": number[of[0]], "text": "so it says"}) + "\n")
        (root / f"{split}.jsonl").write_text("".join(lines))
    return truth


def _voc(root: Path, inverted: str) -> Truth:
    def found(n: int, start: int) -> list[Row]:
        single = rows(VOC, n, start, kind="WEBP")
        return [(data, tuple(sorted({of[0], VOC[(7 * i) % 20]}))) for i, (data, of) in enumerate(single)]

    truth = {"train": found(2, 0), "test": found(3, 1_000)}
    if inverted == "several classes an image":
        truth["test"] = [(data, of[:1]) for data, of in truth["test"]]
        webdataset(root, truth, {c: i for i, c in enumerate(VOC)}, classnames=VOC)  # wds_voc2007: cropped objects, cls
        return Truth({"train": found(2, 0), "test": found(3, 1_000)})
    numbers = {
        class_id: i for i, class_id in enumerate(swapped(VOC) if inverted == "columns in the order of names" else VOC)
    }
    webdataset(
        root,
        truth,
        numbers,
        classnames=swapped(VOC) if inverted == NAMES else VOC,
        multi_label=True,
        lost=inverted == CUT,
    )
    return Truth(truth)


def _derived(
    name: str, class_ids: Sequence[str], sizes: Sequence[int], cuts: Mapping[str, tuple[int, int | None]]
) -> Build:
    """Return a twin of all images of a set that upstream cut otherwise; the truth follows from the ids alone."""

    def build(root: Path, inverted: str) -> Truth:
        data = picture(1)
        found: list[Row] = [(data, (c,)) for c, n in zip(class_ids, sizes, strict=True) for _ in range(n)]
        numbered = [f"{c}_{i + 1}" for c, n in zip(class_ids, sizes, strict=True) for i in range(n)]
        third = len(found) // 3
        parts = {"train": slice(0, third), "validation": slice(third, 2 * third), "test": slice(2 * third, None)}
        column = {(s, row): i for s, part in parts.items() for row, i in enumerate(numbered[part])}
        truth: dict[str, set[str]] = {split: set() for split in cuts}
        for class_id in class_ids:
            own = [i for i in numbered if i.rpartition("_")[0] == class_id]
            own.sort(key=lambda i: hashlib.sha256(i.encode()).hexdigest())
            for split, (first, last) in cuts.items():
                truth[split].update(own[first:last])
        if inverted == "ids name the image":
            column = {key: f"image_{i}" for i, key in enumerate(column)}
        if inverted == "every image is there":
            parts.pop("validation")
        hub(
            root,
            {split: found[part] for split, part in parts.items()},
            {class_id: i for i, class_id in enumerate(class_ids)},
            declared=swapped(class_ids) if inverted == NAMES else class_ids,
            more={"image_id": lambda split, row, class_id: column[split, row]},
            image="img" if inverted == COLUMN else "image",
        )
        return Truth({}, truth)

    return build


def _joined_dtd(root: Path, inverted: str) -> Truth:
    """tanganke/dtd: its train split is the protocol's train and val, and it has no other validation split."""
    class_ids = sorted(ids("dtd"))
    truth = _drawn(class_ids, {"trainval": TRAIN + VAL, "test": TEST})
    train, test = ("test", "train") if inverted == SPLIT else ("train", "test")
    hub(
        root,
        {train: truth["trainval"], test: truth["test"]},
        {class_id: number for number, class_id in enumerate(class_ids)},
        declared=swapped(class_ids) if inverted == NAMES else class_ids,
        image="img" if inverted == COLUMN else "image",
        lost=inverted == CUT,
    )
    return Truth(truth)


def _framed(inverted: str, kind: str) -> tuple[list[Row], list[Row]]:
    """Return ObjectNet's images as upstream has them, in a red border of 2 px, and as they are meant."""
    written: list[Row] = []
    truth: list[Row] = []
    for data, of in rows(ids("objectnet"), 1, 0, size=(9, 8)):
        inside = Image.open(io.BytesIO(data))
        framed = Image.new("RGB", (13, 12), (255, 0, 0))
        framed.paste(inside, (2, 2))
        buffer, expected = io.BytesIO(), io.BytesIO()
        (inside if inverted == "a red border" else framed).save(buffer, kind, lossless=True)
        inside.save(expected, "PPM")
        written.append((buffer.getvalue(), of))
        truth.append((expected.getvalue(), of))
    return written, truth


def _objectnet(root: Path, inverted: str) -> Truth:
    written, truth = _framed(inverted, "PNG")
    for i, (data, of) in enumerate(written):
        folder = root / "objectnet-1.0" / "images" / of[0]
        if inverted == "folders name objects":
            folder = folder.with_name(f"object {i}")
        folder.mkdir(parents=True)
        (folder / f"{i:03d}.png").write_bytes(data)
    other = (
        root
        / "objectnet-1.0"
        / "images"
        / ("banana" if inverted == "other objects too" else "a kind that ImageNet lacks")
    )
    other.mkdir(exist_ok=True)
    (other / "x.png").write_bytes(picture(77))
    return Truth({"test": truth})


def _objectnet_copy(write: Callable[..., None]) -> Build:
    """Return a twin of a copy of ObjectNet in another layout, its images framed as the original's (wds_objectnet)."""

    def build(root: Path, inverted: str) -> Truth:
        written, truth = _framed(inverted, "WEBP")
        listed = swapped(names("objectnet")) if inverted == NAMES else names("objectnet")
        numbers = {class_id: i for i, class_id in enumerate(ids("objectnet"))}
        how = {"classnames": listed} if write is webdataset else {"declared": listed}
        write(root, {"test": written}, numbers, lost=inverted == CUT, **how)
        return Truth({"test": truth})

    return build


def _v2_folders(root: Path, inverted: str) -> Truth:
    found = rows(ids("imagenet-1k"), 1, 0, kind="JPEG")
    folder_of = {class_id: str(i) for i, class_id in enumerate(ids("imagenet-1k"))}
    if inverted == "numbers are not sorted as text":
        folder_of = dict(zip(ids("imagenet-1k"), sorted(map(str, range(1000)), key=str), strict=True))
    if inverted == "labels from 0":
        folder_of = {class_id: str(i + 1) for i, class_id in enumerate(ids("imagenet-1k"))}
    folders(root / "imagenetv2-matched-frequency-format-val", found, folder_of, suffix="jpeg")
    if inverted == "every class is there":
        next((root / "imagenetv2-matched-frequency-format-val" / "7").iterdir()).unlink()
    return Truth({"test": found})


def _wnid_folders(name: str, split: str = "") -> Build:
    def build(root: Path, inverted: str) -> Truth:
        class_ids = ids(name)
        found = rows(class_ids, 1, 0, kind="JPEG")
        folder_of = {class_id: class_id for class_id in class_ids}
        if inverted == "folders are wnids":
            folder_of = dict(zip(class_ids, swapped(class_ids), strict=True))
        if inverted == "its own classes":
            folder_of[class_ids[0]] = "n99999999"
        folders(root / split, found, folder_of, suffix="jpg" if name != "imagenet-1k" else "JPEG")
        if inverted == "every class is there":
            next((root / split / class_ids[3]).iterdir()).unlink()
        (root / "README.txt").write_text("not an image")
        return Truth({"test": found})

    return build


def _caltech_256(root: Path, inverted: str) -> Truth:
    """Five images a class and a folder of clutter; no splits: the one whose id has the lowest hash is the test's."""
    class_ids = ids("caltech-256")
    found = rows(class_ids, 5, 0, kind="JPEG")
    folder_of = {class_id: class_id for class_id in class_ids}
    if inverted == "folders are numbered":
        folder_of = {class_id: f"{int(class_id[:3]) - 1:03d}{class_id[3:]}" for class_id in class_ids}
    place = root / "256_ObjectCategories"
    folders(place, found, folder_of, suffix="jpg")
    clutter = place / ("256.toad" if inverted == "clutter is no category" else "257.clutter")
    clutter.mkdir(exist_ok=True)
    (clutter / "257_0001.jpg").write_bytes(picture(9_999, kind="JPEG"))
    if inverted == "every class is there":
        for path in (place / class_ids[3]).iterdir():
            path.unlink()
    truth: dict[str, list[Row]] = {"test": [], "train": []}
    numbered = sorted(enumerate(found), key=lambda one: hashlib.sha256(f"whole/{one[0]}.jpg".encode()).digest())
    seen: set[str] = set()
    for _, row in numbered:
        truth["train" if row[1][0] in seen else "test"].append(row)
        seen.add(row[1][0])
    return Truth(truth)


def _kaggle_folders(root: Path, inverted: str) -> Truth:
    """Kaggle's msambare/fer2013: test/ holds the public and the private test, told apart by their file names."""
    classes = ids("fer-2013")
    truth = _drawn(classes, {"train": TRAIN, "val": VAL, "test": TEST}, mode="L")
    prefixes = {"train": "Training_", "val": "PublicTest_", "test": "PrivateTest_"}
    if inverted == "the private test is the test":
        prefixes = {"train": "Training_", "val": "PrivateTest_", "test": "PublicTest_"}
    folder_of = {class_id: class_id for class_id in classes}
    if inverted == "folders name classes":
        folder_of = {class_id: str(i) for i, class_id in enumerate(KAGGLE)}
    for split, found in truth.items():
        where = "train" if split == "train" else "test"
        folders(root / where, found, folder_of, suffix="jpg", prefix=prefixes[split])
    if inverted == "every class is there":
        for path in (root / "train" / "disgust").iterdir():
            path.unlink()
    return Truth(truth)


def _iris(name: str, splits: Sequence[str], *, suffix: str = "") -> Twin:
    def build(root: Path, inverted: str) -> Truth:
        class_ids = ids(name)
        truth = _drawn(class_ids, {s: {"train": TRAIN, "val": VAL, "test": TEST}[s] for s in splits})
        if name == "voc-2007-classification":
            truth = {s: [(d, tuple(sorted({*of, "person"}))) for d, of in found] for s, found in truth.items()}
        number_of = {class_id: i for i, class_id in enumerate(class_ids)}
        listed = swapped(names(name)) if inverted == NAMES else names(name)
        iris(root, truth, number_of, labels=listed, suffix=suffix, base=int(inverted == BASE))
        if inverted == CUT:
            (root / f"{splits[-1]}.zip").unlink()
        if inverted == SPLIT:
            one, other = root / f"train{suffix}.txt", root / f"test{suffix}.txt"
            texts = one.read_text(), other.read_text()
            one.write_text(texts[1]), other.write_text(texts[0])
        return Truth(truth)

    return Twin(build, (NAMES, BASE, CUT, SPLIT))


def _coco(name: str, splits: Sequence[str], categories: Sequence[str], quirk: str) -> Twin:
    def build(root: Path, inverted: str) -> Truth:
        class_ids = ids(name)
        truth = _drawn(class_ids, {s: {"train": TRAIN, "val": VAL, "test": TEST}[s] for s in splits})
        listed = swapped(categories, -2, -1) if inverted == quirk else categories
        number_of = {class_id: i + 1 for i, class_id in enumerate(class_ids)}
        if inverted == "categories count from 1":
            number_of = {class_id: i for i, class_id in enumerate(class_ids)}
        upstream = {"val": "validation"}
        coco(root, {upstream.get(s, s): f for s, f in truth.items()}, dict(enumerate(listed, 1)), number_of)
        if inverted == CUT:
            (root / "test_images.zip").unlink()
        return Truth(truth)

    return Twin(build, (quirk, "categories count from 1", CUT))


_HUNDRED = ("the crab is called cra", "coarse and fine label")
_OF_IMAGENET = [", ".join([e["name"], *e.get("synonyms", [])]) for e in entries("imagenet-1k")]  # the Hub's lemmas
EUROSAT_SIZES = (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000)  # Helber et al.: 27,000 images

TWINS: dict[str, Twin] = {
    "imagenet-1k": _parquet(
        "imagenet-1k",
        {"train": "train", "test": "validation"},
        declared=lambda: _OF_IMAGENET,
        order=lambda: ids("imagenet-1k"),
        quirks=("the test has no labels",),
        special=_imagenet,
    ),
    "imagenet-1k in folders": Twin(
        _wnid_folders("imagenet-1k", "val"), ("folders are wnids", "its own classes", "every class is there")
    ),
    "sun397": _parquet(
        "sun397",
        {"train": "train", "test": "test"},
        declared=lambda: names("sun397"),
        order=lambda: ids("sun397"),
    ),
    "caltech-101": _wds(
        "caltech-101",
        listed=lambda: swapped(names("caltech-101"), *FACES),
        order=lambda: swapped(ids("caltech-101"), *FACES),
        quirks=("a background class", "capitals do not sort first", "which face is centred"),
        special=_caltech,
    ),
    "cifar-10": _parquet(
        "cifar-10",
        {"train": "train", "test": "test"},
        declared=lambda: CIFAR10,
        order=lambda: CIFAR10,
        image="img",
        folder="plain_text",
    ),
    "cifar-100": _parquet(
        "cifar-100",
        {"train": "train", "test": "test"},
        declared=lambda: ["cra" if name == "crab" else name for name in sorted(ids("cifar-100"))],
        order=lambda: sorted(ids("cifar-100")),
        image="img",
        label="fine_label",
        folder="cifar100",
        quirks=_HUNDRED,
        special=_cifar100,
    ),
    "voc-2007-classification": Twin(_voc, ("several classes an image", "columns in the order of names", NAMES, CUT)),
    "food-101": _parquet(
        "food-101",
        {"train": "train", "test": "validation"},
        declared=lambda: sorted(ids("food-101")),
        order=lambda: sorted(ids("food-101")),
        quirks=("validation is the test",),
        special=_food,
    ),
    "oxford-iiit-pets": _parquet(
        "oxford-iiit-pets",
        {"train": "train", "test": "test"},
        declared=lambda: [class_id.lower() for class_id in ids("oxford-iiit-pets")],
        order=lambda: ids("oxford-iiit-pets"),
        quirks=("breed and species",),
        special=_pets,
    ),
    "oxford-flower-102": _parquet(
        "oxford-flower-102",
        {"train": "train", "val": "validation", "test": "test"},
        declared=lambda: names("oxford-flower-102"),
        order=lambda: ids("oxford-flower-102"),
    ),
    "stanford-cars": _wds(
        "stanford-cars",
        kind="jpg",
        order=lambda: _devkit(),
        listed=lambda: [dict(zip(ids("stanford-cars"), names("stanford-cars"), strict=True))[i] for i in _devkit()],
        quirks=("labels in the devkit's order",),
        special=_cars,
    ),
    "fgvc-aircraft-2013b-variants102": _wds("fgvc-aircraft-2013b-variants102", kind="jpg"),
    "country211": _wds("country211", kind="jpg"),
    "dtd": _parquet(
        "dtd",
        {"train": "train", "val": "validation", "test": "test"},
        declared=lambda: sorted(ids("dtd")),
        order=lambda: sorted(ids("dtd")),
    ),
    "dtd with train and val joined": Twin(_joined_dtd, (COLUMN, NAMES, CUT, SPLIT)),
    "eurosat_clip": Twin(
        _derived(
            "eurosat_clip",
            EUROSAT,
            EUROSAT_SIZES,
            {
                "test": (0, 500),
                "val": (500, 1000),
                "train": (1000, 1500),
                "trex-test": (0, 810),
                "trex-trainval": (810, None),
            },
        ),
        ("ids name the image", "every image is there", NAMES, COLUMN),
    ),
    "resisc45_clip": Twin(
        _derived(
            "resisc45_clip", ids("resisc45_clip"), [700] * 45, {"train": (0, 70), "val": (70, 140), "test": (140, None)}
        ),
        ("ids name the image", "every image is there", NAMES, COLUMN),
    ),
    "gtsrb": _wds("gtsrb"),
    "fer-2013": _wds("fer-2013", ("train",), listed=lambda: FER, quirks=("numbers are not Kaggle's",), special=_fer),
    "fer-2013 in folders": Twin(
        _kaggle_folders, ("the private test is the test", "folders name classes", "every class is there")
    ),
    "kitti-distance": _wds("kitti-distance", listed=lambda: KITTI, quirks=("2 is distant, 3 is none",), special=_kitti),
    "patch-camelyon": Twin(_pcam, ("true is tumour", "labels are true and false", CUT, COLUMN, SPLIT)),
    "rendered-sst2": _wds("rendered-sst2", quirks=("which of two",), special=_negated),
    "hateful-memes": Twin(_memes, ("dev_seen is the test", "1 is hateful", "labels from 0", CUT)),
    "mnist": _parquet(
        "mnist",
        {"train": "train", "test": "test"},
        declared=lambda: list("0123456789"),
        order=lambda: list("0123456789"),
        folder="mnist",
    ),
    "imagenet-100": _parquet(
        "imagenet-100",
        {"train": "train", "test": "validation"},
        declared=lambda: names("imagenet-100"),
        order=lambda: ids("imagenet-100"),
    ),
    "imagenet-v2": _wds(
        "imagenet-v2", ("test",), quirks=("numbers are not sorted as text",), special=_numbered_as_text
    ),
    "imagenet-v2 in folders": Twin(
        _v2_folders, ("numbers are not sorted as text", "labels from 0", "every class is there")
    ),
    "imagenet-r": _wds("imagenet-r", ("test",)),
    "imagenet-r in folders": Twin(
        _wnid_folders("imagenet-r"), ("folders are wnids", "its own classes", "every class is there")
    ),
    "imagenet-sketch": _wds("imagenet-sketch", ("test",)),
    "imagenet-a": _wds("imagenet-a", ("test",)),
    "caltech-256": Twin(_caltech_256, ("folders are numbered", "clutter is no category", "every class is there")),
    "objectnet": Twin(_objectnet, ("a red border", "folders name objects", "other objects too")),
    "objectnet in tars": Twin(_objectnet_copy(webdataset), ("a red border", NAMES, CUT)),
    "objectnet in Parquet": Twin(_objectnet_copy(hub), ("a red border", NAMES, CUT)),
    "cifar-10 of ELEVATER": _iris("cifar-10", ("train", "test")),
    "cifar-100 of ELEVATER": _iris("cifar-100", ("train", "test"), suffix="_images"),
    "fer-2013 of ELEVATER": _iris("fer-2013", ("train", "val", "test")),
    "voc-2007-classification of ELEVATER": _iris("voc-2007-classification", ("train", "val", "test"), suffix="_ic"),
    "kitti-distance of ELEVATER": _coco("kitti-distance", ("train", "val", "test"), KITTI, "2 is distant, 3 is none"),
    "hateful-memes of ELEVATER": _coco("hateful-memes", ("train", "test"), ["meme", "hatespeech meme"], "which of two"),
}
