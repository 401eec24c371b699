"""Task digits: the data are scikit-learn's, the split is the rule's, every image is read as the data set defines it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vgbench.images import decode, encode_png
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.toybox.digits import draw
from vgbench.types import sha256_hex
from vgbench_tasks.digits import counts, read


def manifest() -> dict[str, list[str]]:
    value: dict[str, list[str]] = json.loads((Path(read.__file__).parent / "split.json").read_text())
    return value


def test_split_is_the_lowest_fifth_per_class_by_hash() -> None:
    labels = load_digits().target
    expected = []
    for digit in range(10):
        ids = [f"digits-{i:04d}" for i in np.flatnonzero(labels == digit)]
        ids.sort(key=lambda sample_id: hashlib.sha256(sample_id.encode()).hexdigest())
        expected += ids[: round(0.2 * len(ids))]
    split = manifest()
    assert sorted(expected) == split["test"] and len(expected) == 359
    assert len(split["train"]) == 1438 and not set(split["train"]) & set(split["test"])


def test_declared_hashes_are_those_of_the_manifest_and_the_file() -> None:
    spec = Registry().datasets.get("digits").spec
    for name, ids in manifest().items():
        if name != "rule":
            assert spec.splits[name].sample_ids == sha256_hex("\n".join(sorted(ids)))
            assert spec.splits[name].n == len(ids)
    assert Locator().dataset(spec).identity == spec.sha256


def test_validation_digits_are_the_lowest_fifth_of_the_training_ones_and_original_keeps_the_rest() -> None:
    labels = load_digits().target
    expected = []
    for digit in range(10):
        ids = [sample_id for sample_id in manifest()["train"] if labels[int(sample_id[-4:])] == digit]
        expected += sorted(ids, key=lambda sample_id: hashlib.sha256(sample_id.encode()).hexdigest())[: len(ids) // 5]
    splits = {"val20": sorted(expected), "train80": sorted(set(manifest()["train"]) - set(expected))}
    spec = Registry().datasets.get("digits").spec
    for name, ids in splits.items():
        assert read.sample_ids(name, labels.tolist()) == ids
        assert (spec.splits[name].n, spec.splits[name].sample_ids) == (len(ids), sha256_hex("\n".join(ids)))


def test_reading_gives_scikit_learns_counts_back() -> None:
    images = load_digits().images
    for image in images[::97]:
        found = counts.count_blocks(decode(encode_png(read.to_pixels(image))))
        assert np.array_equal(found, image)


def test_bitmap_is_counted_in_blocks() -> None:
    bitmap = draw(3, np.arange(5, dtype=np.uint64))
    for pixels in bitmap:
        expected = [[(pixels[4 * r : 4 * r + 4, 4 * c : 4 * c + 4] > 0).sum() for c in range(8)] for r in range(8)]
        assert np.array_equal(counts.count_blocks(Image.fromarray(pixels)), expected)


def test_larger_and_coloured_images_are_read_as_bright_ink() -> None:
    pixels = np.kron(draw(7, np.arange(1, dtype=np.uint64))[0], np.ones((3, 3), np.uint8))
    small = counts.count_blocks(Image.fromarray(pixels[::3, ::3]))
    assert np.array_equal(counts.count_blocks(Image.fromarray(np.stack([pixels] * 3, axis=-1))), small)


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_travel_without_labels(split: str) -> None:
    found = Builder(Registry(), Locator(), {}).dataset("digits", split)
    assert found.images.digest != found.labels.digest
    assert not {node.digest for node in found.images.walk()} & {found.labels.digest}
