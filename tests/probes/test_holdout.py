"""The derived validation split, and choosing by it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from tests.probes.drawn import drawn, lesson, several

from vgbench_tasks.probes.holdout import Holdout, best, held_out


def test_lowest_fifth_of_each_class_by_hash_validates() -> None:
    labels = np.array([0] * 10 + [1] * 4 + [2] * 2 + [3])
    ids = [f"image-{i}" for i in range(len(labels))]
    found = held_out(ids, labels)
    for k, n in ((0, 2), (1, 1), (2, 1), (3, 0)):
        own = [i for i, label in zip(ids, labels, strict=True) if label == k]
        lowest = sorted(own, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:n]
        assert sorted(np.asarray(ids)[found & (labels == k)].tolist()) == sorted(lowest)


def test_split_does_not_depend_on_the_order_of_the_rows() -> None:
    labels = np.repeat(np.arange(3), 10)
    ids = np.array([f"image-{i}" for i in range(30)])
    turn = np.random.default_rng(0).permutation(30)
    assert set(ids[held_out(ids.tolist(), labels)]) == set(ids[turn][held_out(ids[turn].tolist(), labels[turn])])


def test_image_of_several_classes_counts_for_the_first() -> None:
    labels = np.zeros((10, 3), bool)
    labels[:, 2] = True
    labels[:5, 0] = True
    ids = [f"image-{i}" for i in range(10)]
    assert held_out(ids, labels).tolist() == held_out(ids, np.array([0] * 5 + [2] * 5)).tolist()


def test_real_validation_images_leave_the_sources_own_alone() -> None:
    x, labels = drawn(5, seed=1)
    val = drawn(2, seed=3)
    found = Holdout.of(lesson(x, labels, val=val))
    assert len(found.x) == len(x) and found.val_x is val[0] and found.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("is_several", [False, True])
def test_own_validation_images_are_not_fitted_on(is_several: bool) -> None:
    x, labels = drawn(5, seed=1)
    found = Holdout.of(lesson(x, several(labels) if is_several else labels))
    assert len(found.val_x) >= 5 and len(found.x) + len(found.val_x) == len(x)
    assert not set(map(bytes, found.x)) & set(map(bytes, found.val_x))
    assert len(found.labels) == len(found.x) and len(found.val_labels) == len(found.val_x)


def test_best_has_the_most_right_then_the_lowest_cross_entropy_then_stands_first() -> None:
    labels = np.array([0, 1])
    right = np.array([[0.6, 0.4], [0.4, 0.6]])
    surer = np.array([[0.8, 0.2], [0.2, 0.8]])
    half = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert best([half, right, surer, surer], labels) == 2
    assert best([half, half], labels) == 0


def test_best_of_several_labels_has_the_lowest_binary_cross_entropy() -> None:
    labels = np.array([[True, True], [False, True]])
    assert best([np.full((2, 2), 0.5), np.array([[0.9, 0.8], [0.2, 0.7]]), np.ones((2, 2))], labels) == 1
