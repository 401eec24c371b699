"""zeroshot, cler, cler+text and knn, against what GenBench's page of code says in plain loops."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.probes.drawn import N_CLASSES, drawn, lesson, permuted, scores, several, texts

X, LABELS = drawn(6, seed=1)
TEST_X, TEST_LABELS = drawn(8, seed=2)
Vector = list[float]


def at_length_1(v: Any) -> Vector:
    length = sqrt(sum(float(a) ** 2 for a in v))
    return [float(a) / length for a in v]


def dot(a: Vector, b: Vector) -> float:
    return sum(p * q for p, q in zip(a, b, strict=True))


def shares(logits: Vector) -> Vector:
    weights = [exp(z - max(logits)) for z in logits]
    return [w / sum(weights) for w in weights]


def has(label: Any, k: int) -> bool:
    return bool(label[k]) if np.ndim(label) else int(label) == k


def plain_centres(labels: NDArray[Any]) -> list[Vector]:
    found = []
    for k in range(N_CLASSES):
        own = [at_length_1(x) for x, label in zip(X, labels, strict=True) if has(label, k)]
        found.append(at_length_1([sum(column) / len(own) for column in zip(*own, strict=True)]))
    return found


def plain_knn(labels: NDArray[Any], k: int) -> list[Vector]:
    found = []
    for test in TEST_X:
        near = sorted(range(len(X)), key=lambda i, t=test: -dot(at_length_1(t), at_length_1(X[i])))[:k]  # type: ignore[misc]
        found.append([sum(has(labels[i], c) for i in near) / len(near) for c in range(N_CLASSES)])
    return found


@pytest.mark.parametrize("labels", [LABELS, several(LABELS)], ids=["one label", "several"])
def test_cler_is_the_softmax_of_cosines_to_class_centres_without_temperature(labels: NDArray[Any]) -> None:
    centres = plain_centres(labels)
    expected = [shares([dot(at_length_1(t), c) for c in centres]) for t in TEST_X]
    found = scores("cler", lesson(X, labels), TEST_X)
    np.testing.assert_allclose(found, [expected], rtol=0, atol=1e-6)
    if labels.ndim == 1:
        assert (found[0].argmax(axis=1) == TEST_LABELS).mean() > 0.7


@pytest.mark.parametrize("labels", [LABELS, several(LABELS)], ids=["one label", "several"])
def test_text_is_added_to_the_image_centre(labels: NDArray[Any]) -> None:
    text = texts()
    centres = [
        at_length_1([p + float(q) for p, q in zip(centre, row, strict=True)])
        for centre, row in zip(plain_centres(labels), text, strict=True)
    ]
    expected = [shares([dot(at_length_1(t), c) for c in centres]) for t in TEST_X]
    found = scores("cler+text", lesson(X, labels, text=text), TEST_X)
    np.testing.assert_allclose(found, [expected], rtol=0, atol=1e-6)


def test_zero_shot_reads_no_image_and_has_clips_temperature() -> None:
    text = texts()
    expected = [shares([100.0 * dot(at_length_1(t), [float(a) for a in row]) for row in text]) for t in TEST_X]
    found = scores("zeroshot", lesson(None, np.empty((1, 0), np.int64), text=text), TEST_X)
    np.testing.assert_allclose(found, [expected], rtol=0, atol=1e-6)


@pytest.mark.parametrize("labels", [LABELS, several(LABELS)], ids=["one label", "several"])
def test_knn_is_the_share_of_the_label_among_the_ten_nearest(labels: NDArray[Any]) -> None:
    found = scores("knn", lesson(X, labels), TEST_X)
    np.testing.assert_allclose(found, [plain_knn(labels, 10)], rtol=0, atol=1e-6)


def test_knn_takes_all_images_where_there_are_fewer_than_ten() -> None:
    found = scores("knn", lesson(X[:7], LABELS[:7]), TEST_X)
    expected = np.bincount(LABELS[:7], minlength=N_CLASSES) / 7
    np.testing.assert_allclose(found[0], np.tile(expected, (len(TEST_X), 1)), atol=1e-6)


def test_knn_takes_the_lower_id_of_equally_near_images_whatever_their_order() -> None:
    x = np.concatenate([np.tile(X[:1], (12, 1)), X[1:4]])  # twelve copies of one image, then others
    labels = np.array([0] * 6 + [1] * 6 + [2, 3, 4])
    given = lesson(x, labels)
    turned = lesson(x[::-1].copy(), labels[::-1].copy())
    turned.ids[:] = given.ids[::-1]
    for one in (given, turned):
        assert scores("knn", one, X[:1], k=8)[0, 0].tolist() == [6 / 8, 2 / 8, 0, 0, 0]


@pytest.mark.parametrize("name", ["cler", "cler+text", "knn"])
@pytest.mark.parametrize("labels", [LABELS, several(LABELS)], ids=["one label", "several"])
def test_every_label_vector_is_fitted_by_itself(name: str, labels: NDArray[Any]) -> None:
    text = texts() if name == "cler+text" else None
    vectors = permuted(labels, 3)
    together = scores(name, lesson(X, vectors, text=text), TEST_X)
    assert together.shape == (3, len(TEST_X), N_CLASSES)
    for k in range(3):
        np.testing.assert_allclose(together[k], scores(name, lesson(X, vectors[k], text=text), TEST_X)[0], atol=1e-12)


@pytest.mark.parametrize("name", ["zeroshot", "cler", "cler+text", "knn"])
def test_scores_of_a_test_image_do_not_depend_on_the_others(name: str) -> None:
    """The step asks for some rows at a time."""
    given = lesson(X, LABELS, text=None if name in ("cler", "knn") else texts())
    whole = scores(name, given, TEST_X)
    parts = [scores(name, given, TEST_X[i : i + 3]) for i in range(0, len(TEST_X), 3)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-12)
