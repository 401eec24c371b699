"""Every real data set is read as its author meant it, and a copy in which one quirk is inverted is not."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.twins.sets import TWINS
from tests.twins.writing import Truth

from vgbench.errors import NoSuchSplit
from vgbench.images import ImageSet
from vgbench.locate import Locator
from vgbench.registry import parse_class_list
from vgbench.steps.fetch import observe
from vgbench.types import Artifact, DatasetSpec, Split, Step
from vgbench.worker import resolve
from vgbench_tasks.datasets.real import vgbench_offer_datasets
from vgbench_tasks.datasets.samples import Copy, Sample
from vgbench_tasks.datasets.splits import Splits

SPECS = {spec.name: spec for spec in vgbench_offer_datasets()}
CLASSES = Path(__file__).parents[2] / "tasks" / "vgbench_tasks" / "datasets" / "classes"
GENBENCH = 22
CASES = [(name, quirk) for name, twin in TWINS.items() for quirk in twin.quirks]

Found = dict[str, Counter[tuple[str, frozenset[str]]]]  # split → (SHA-256 of an image, its class ids), counted


def spec_of(twin: str, truth: Truth) -> DatasetSpec:
    """Return the set's spec with the sizes of its twin; those of derived splits stay as they are."""
    spec = SPECS[twin.partition(" ")[0]]
    sizes = {split: Split(len(rows), None) for split, rows in truth.splits.items()}
    return replace(spec, splits={**spec.splits, **sizes})


def call(spec: DatasetSpec, body: str, split: str, root: Path, out: Path, sample_ids: str | None = None) -> Path:
    """Run a reader's body as a worker would; return where its files lie."""
    classes = parse_class_list((CLASSES / f"{spec.classes}.json").read_text())
    params = {**spec.params(split, sample_ids=sample_ids, classes=classes), "place": Locator().path(str(root))}
    out.mkdir(parents=True)
    (out / "scratch").mkdir()
    step = Step(
        "", params, {}, None, 0, out, out / "scratch", "cpu", lambda *_: None, lambda _, make: make(), lambda _: max
    )
    resolve(getattr(spec, f"read_{body}").entry)(step)
    return out


def read(spec: DatasetSpec, truth: Truth, root: Path, out: Path) -> Found:
    """Read the images and the labels of every split of the truth, apart, and join them by sample id."""
    found: Found = {}
    for split in truth.splits:
        labels = pq.read_table(call(spec, "labels", split, root, out / split / "labels") / "labels.parquet")
        several = "class_ids" in labels.column_names
        assert several == spec.multi_label
        values = labels["class_ids" if several else "class_id"].to_pylist()
        class_ids = dict(zip(labels["sample_id"].to_pylist(), values, strict=True))
        shard = call(spec, "images", split, root, out / split / "images")
        images = ImageSet.open_unlabelled(Artifact("", (shard,), place=str(root)))
        assert sorted(images.ids) == sorted(class_ids)
        found[split] = Counter(
            (hashlib.sha256(data).hexdigest(), frozenset(class_ids[i] if several else [class_ids[i]]))
            for i, data in zip(images.ids, images.encoded(), strict=True)
        )
    return found


def meant(truth: Truth) -> Found:
    return {
        split: Counter((hashlib.sha256(data).hexdigest(), frozenset(of)) for data, of in rows)
        for split, rows in truth.splits.items()
    }


def ids_of(spec: DatasetSpec, truth: Truth, root: Path, out: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for split in truth.by_id:
        table = pq.read_table(call(spec, "labels", split, root, out / split) / "labels.parquet")
        assert all(
            i.startswith(f"{c}_") for i, c in zip(*(column.to_pylist() for column in table.columns), strict=True)
        )
        found[split] = set(table["sample_id"].to_pylist())
    return found


@pytest.mark.parametrize("name", TWINS)
def test_twin_is_read_as_meant(name: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    truth = TWINS[name].build(tmp_path / "root", "")
    spec = spec_of(name, truth)
    assert read(spec, truth, tmp_path / "root", tmp_path / "out") == meant(truth)
    assert ids_of(spec, truth, tmp_path / "root", tmp_path / "ids") == truth.by_id


@pytest.mark.parametrize(("name", "quirk"), CASES)
def test_inverted_quirk_is_refused_or_gives_other_labels(name: str, quirk: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    truth = TWINS[name].build(tmp_path / "root", quirk)
    spec = spec_of(name, truth)
    try:
        as_meant = read(spec, truth, tmp_path / "root", tmp_path / "out") == meant(truth)
        as_meant = as_meant and ids_of(spec, truth, tmp_path / "root", tmp_path / "ids") == truth.by_id
    except (ValueError, NoSuchSplit, AssertionError) as error:
        assert len(str(error)) > 20 or isinstance(error, AssertionError)
    else:
        assert not as_meant, f"nobody would notice: {quirk}"


def observed(spec: DatasetSpec, root: Path, out: Path) -> dict[str, Any]:
    """Observe a copy's splits as `data fetch` and `data add` do."""
    classes = parse_class_list((CLASSES / f"{spec.classes}.json").read_text())
    sizes = {name: split.n for name, split in spec.splits.items()}
    told = {split: {**spec.params(split, sample_ids=None, classes=classes), "sizes": sizes} for split in spec.splits}
    params = {"entry": spec.read_labels.entry, "splits": told, "place": Locator().path(str(root))}
    out.mkdir()
    observe(Step("", params, {}, None, 0, out, out, "cpu", lambda *_: None, lambda _, make: make(), lambda _: max))
    found: dict[str, Any] = json.loads((out / "observed.json").read_text())
    return found


@pytest.mark.parametrize(
    ("name", "sizes", "taken"),
    [
        ("dtd with train and val joined", {"train": 94, "val": 141, "trainval": 235}, {"trainval", "test"}),
        ("dtd", {"train": 95, "trainval": 235}, {"val", "test"}),  # no trainval of a train that is another one
        ("caltech-101", {"train": 205}, {"test"}),  # nor its fifths
        ("caltech-101", {}, {"train", "train80", "val20", "test"}),
    ],
)
def test_split_of_another_size_is_not_taken_nor_what_is_made_of_it(
    name: str, sizes: dict[str, int], taken: set[str], tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    spec = spec_of(name, TWINS[name].build(tmp_path / "root", ""))
    spec = replace(spec, splits={**spec.splits, **{split: Split(n, None) for split, n in sizes.items()}})
    found = observed(spec, tmp_path / "root", tmp_path / "out")
    assert set(found) == set(spec.splits) and {split for split in found if "sample_ids" in found[split]} == taken
    assert all(
        "expected" in found[split]["reason"] or "is not among" in found[split]["reason"]
        for split in found.keys() - taken
    )


def test_cut_of_another_whole_is_not_taken_though_it_has_its_size() -> None:
    samples = [Sample(f"{name}{i}", "", (name,)) for name in "abc" for i in range(9)]
    copy = Copy("made", {"everything": lambda: samples})
    rules = {"test": {"of": ["all"], "from": 0, "to": 2}, "train": {"of": ["all"], "from": 2}}
    assert len(Splits(copy, rules, {"test": 6, "train": 21}).samples("test")) == 6
    with pytest.raises(NoSuchSplit, match="not cut from 27 samples, of which train would not be 24"):
        Splits(copy, rules, {"test": 6, "train": 24}).samples("test")


def test_every_set_has_a_twin_with_three_quirks() -> None:
    quirks: dict[str, set[str]] = {name: set() for name in SPECS}
    for name, twin in TWINS.items():
        quirks[name.partition(" ")[0]] |= set(twin.quirks)
    assert {name: found for name, found in quirks.items() if len(found) < 3} == {}


def test_sizes_and_classes_are_the_protocols() -> None:
    """GenBench's 22 sets hold 2,548 classes (ELEVATER's 1,151, ImageNet's 1,000, SUN397's 397)."""
    genbench = [spec for spec in SPECS.values() if "elevater" in (spec.reading or {}) or spec.name == "imagenet-1k"]
    sizes = [len(parse_class_list((CLASSES / f"{s.classes}.json").read_text())) for s in genbench]
    assert len(genbench) == GENBENCH and sum(sizes) == 2548
    trex = {
        "fgvc-aircraft-2013b-variants102": (6_667, 3_333),
        "stanford-cars": (8_144, 8_041),
        "dtd": (3_760, 1_880),
        "oxford-flower-102": (2_040, 6_149),
        "oxford-iiit-pets": (3_680, 3_669),
        "food-101": (75_750, 25_250),
        "sun397": (19_850, 19_850),
    }
    of_specs = {name: tuple(SPECS[name].splits[s].n for s in ("trainval", "test")) for name in trex}
    assert of_specs == trex
    eurosat: Any = SPECS["eurosat_clip"].splits
    assert (eurosat["trex-trainval"].n, eurosat["trex-test"].n, eurosat["test"].n) == (18_900, 8_100, 5_000)


def test_every_set_stands_in_the_docs_with_its_sizes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 9}
    assert set(rows) == set(SPECS)
    for name, spec in SPECS.items():
        sizes = [f"{spec.splits[s].n:,}" for s in ("train", "val", "test") if s in spec.splits and spec.splits[s].n]
        assert all(size in rows[name] for size in sizes), name
        assert (spec.place.removeprefix("hf://") or "by hand") in rows[name] and spec.access in rows[name]
        assert all(note in text for note in spec.notes), name
