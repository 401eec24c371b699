"""FID, KID, diversity and alignment against plain definitions, and by what must hold of them.

Against torchmetrics: test_torchmetrics.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.metrics import plain

from vgbench.metrics.alignment import clip_scores, nearest_captions
from vgbench.metrics.diversity import neighbourhoods, unit, vendi
from vgbench.metrics.frechet import Moments, fid, kid

Features = NDArray[np.float64]


def two_sets(seed: int, m: int = 40, n: int = 30, d: int = 8) -> tuple[Features, Features]:
    random = np.random.RandomState(seed)
    mixing = random.randn(d, d)
    return random.randn(m, d) @ mixing + random.randn(d), random.randn(n, d) + 0.5


def distance(x: Features, y: Features) -> float:
    return fid(Moments.of(x), Moments.of(y))


# ── Distances ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(5))
def test_distances_equal_their_definitions(seed: int) -> None:
    x, y = two_sets(seed)
    assert distance(x, y) == pytest.approx(plain.fid(x.tolist(), y.tolist()), abs=1e-6)
    assert kid(x, y) == pytest.approx(plain.kid(x.tolist(), y.tolist()), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), d=st.integers(1, 40), scale=st.floats(1e-3, 1e3))
def test_set_has_no_distance_to_itself(seed: int, n: int, d: int, scale: float) -> None:
    x = scale * np.random.RandomState(seed).randn(n, d)
    assert distance(x, x) == pytest.approx(0, abs=1e-9 * scale**2 * d)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_distances_do_not_see_rotations_order_or_sides(seed: int) -> None:
    x, y = two_sets(seed)
    rotation, _ = np.linalg.qr(np.random.RandomState(seed).randn(8, 8))
    for measure in (distance, kid):
        found = measure(x, y)
        assert measure(y, x) == pytest.approx(found, rel=1e-9)
        assert measure(x[::-1] @ rotation, y @ rotation) == pytest.approx(found, rel=1e-7, abs=1e-9)
    assert distance(x + 3, y + 3) == pytest.approx(distance(x, y), rel=1e-9)
    assert distance(2 * x, 2 * y) == pytest.approx(4 * distance(x, y), rel=1e-9)


def test_distance_of_known_gaussians() -> None:
    eye = np.eye(3)
    a, b = Moments(9, np.zeros(3), 4 * eye), Moments(9, np.array([1.0, 2.0, 2.0]), 9 * eye)
    assert fid(a, b) == pytest.approx(9 + 3 * (3 - 2) ** 2)


def test_fewer_images_than_dimensions_give_a_finite_distance() -> None:
    x, y = two_sets(0, m=10, n=12, d=200)
    assert np.isfinite(distance(x, y)) and distance(x, y) > 0
    assert distance(x, y) == pytest.approx(plain.fid(x.tolist(), y.tolist()), rel=1e-5)


def test_kernel_distance_of_equal_sources_is_zero_in_the_mean_and_that_of_gaussians_is_not() -> None:
    random = np.random.RandomState(0)
    found = [kid(random.randn(20, 4), random.randn(20, 4)) for _ in range(400)]
    assert abs(np.mean(found)) <= 3.3 * np.std(found) / 20 and min(found) < 0
    biased = [distance(random.randn(20, 4), random.randn(20, 4)) for _ in range(50)]
    assert np.mean(biased) > 5 * np.std(biased) / 50**0.5  # why FID has one stated n


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = two_sets(1)
    whole = (distance(x, y), kid(x, y), neighbourhoods(x, y, k=3))
    monkeypatch.setattr("vgbench.metrics.frechet.ROWS", 7)
    monkeypatch.setattr("vgbench.metrics.diversity.BLOCK_BYTES", 8 * 30 * 7)
    parts = (distance(x, y), kid(x, y), neighbourhoods(x, y, k=3))
    assert parts[:2] == pytest.approx(whole[:2], rel=1e-12) and parts[2] == whole[2]


# ── Diversity ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("n", "d"), [(6, 20), (20, 6), (12, 12)])
def test_vendi_equals_its_definition(n: int, d: int) -> None:
    x = np.random.RandomState(n).randn(n, d)
    assert vendi(x) == pytest.approx(plain.vendi(x.tolist()), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 30), d=st.integers(1, 30), seed=st.integers(0, 1000))
def test_vendi_counts_images_that_differ(n: int, d: int, seed: int) -> None:
    x = np.random.RandomState(seed).randn(n, d)
    assert vendi(np.repeat(x[:1], n, axis=0)) == pytest.approx(1.0, abs=1e-9)
    assert vendi(5 * np.eye(n)) == pytest.approx(n)
    assert vendi(np.repeat(np.eye(n), 3, axis=0)) == pytest.approx(n)
    assert 1 <= vendi(x) <= n
    assert vendi(np.concatenate([x, x])) == pytest.approx(vendi(x))


@pytest.mark.parametrize("seed", range(6))
def test_neighbourhoods_equal_their_definitions(seed: int) -> None:
    x, y = two_sets(seed, d=3)
    found = neighbourhoods(x, y, k=1 + seed)
    expected = plain.neighbourhoods(x.tolist(), y.tolist(), 1 + seed)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)


def test_set_is_its_own_neighbourhood_and_far_images_are_in_none() -> None:
    x, _ = two_sets(3, m=60, d=16)
    own = neighbourhoods(x, x, k=5)
    assert (own.precision, own.recall, own.coverage) == (1.0, 1.0, 1.0) and own.density == pytest.approx(1.2)
    near = np.array([1.0, 0, 0]) + 0.01 * np.random.RandomState(0).randn(30, 3)
    far = neighbourhoods(near, -near, k=5)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_one_real_image_copied_is_precise_and_covers_little() -> None:
    _, real = two_sets(0, n=200, d=16)
    found = neighbourhoods(np.repeat(real[:1], 50, axis=0), real, k=5)
    assert found.precision == 1.0 and found.recall <= 0.01 and found.coverage < 0.2


# ── Alignment ────────────────────────────────────────────────────────────────────────────────────


def test_clip_score_is_the_cosine_with_the_text_of_the_class() -> None:
    images = np.array([[2.0, 0, 0], [0, 3, 0], [-1, 0, 0], [1, 1, 0]])
    text = np.array([[1.0, 0, 0], [0, 5, 0]])
    found = clip_scores(images, text, [[0], [0], [0], [0, 1]])
    assert found == pytest.approx([1, 0, 0, 0.5**0.5])


def test_clip_score_is_the_cosine_of_plain_loops_held_at_zero() -> None:
    images, text = two_sets(1, m=30, n=5)
    labels = [[row % 5] if row % 3 else [row % 5, (row + 1) % 5] for row in range(30)]
    cosines = [
        [plain.dot(plain.unit(image), plain.unit(text[k])) for k in of]
        for image, of in zip(images, labels, strict=True)
    ]
    expected = [np.mean([max(cosine, 0.0) for cosine in of]) for of in cosines]
    assert clip_scores(images, text, labels) == pytest.approx(expected, abs=1e-12)
    assert min(min(of) for of in cosines) < 0 < max(expected)


@pytest.mark.parametrize("seed", range(5))
def test_mean_text_similarity_equals_its_definition(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, captions = two_sets(seed, m=4, n=50)
    image_ids = [f"image-{i % 35}" for i in range(50)]
    label = np.array([0, 1, 0, 1])
    expected = [plain.mts(prompts[label == c].tolist(), captions.tolist(), image_ids, 20, 6) for c in (0, 1)]
    for at_a_time in (16_384, 9):
        monkeypatch.setattr("vgbench.metrics.alignment.CAPTIONS_AT_A_TIME", at_a_time)
        monkeypatch.setattr("vgbench.metrics.alignment.PROMPTS_AT_A_TIME", 2 if at_a_time == 9 else 512)
        found = list(nearest_captions(prompts, label, captions, image_ids, k=20, top=6))
        assert [one.mean for one in found] == pytest.approx(expected, abs=1e-12)
        assert all(list(one.similarities) == sorted(one.similarities, reverse=True) for one in found)


def test_captions_that_are_alike_are_hit_in_their_order() -> None:
    captions = np.array([[0.0, 1], [1, 0], [1, 0], [1, 0]])
    (found,) = nearest_captions(np.array([[1.0, 0]]), np.zeros(1, int), captions, list("abcd"), k=2, top=5)
    assert found.image_ids == ("b", "c") and found.similarities == (1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: Moments.of(np.ones((1, 3))), "at least 2 features, not 1"),
        (lambda: kid(np.ones((1, 3)), np.ones((4, 3))), "not 1 and 4"),
        (lambda: neighbourhoods(np.ones((5, 3)), np.ones((9, 3)), k=5), "5 and 9 features have no 5-th"),
        (lambda: unit(np.zeros((2, 3))), "2 features have length 0"),
        (lambda: vendi(np.ones((0, 3))), "no diversity"),
        (lambda: clip_scores(np.ones((1, 3)), np.ones((1, 3)), [[]]), "without a class"),
        (
            lambda: list(nearest_captions(np.ones((1, 3)), np.zeros(1, int), np.ones((2, 3)), ["a", "b"], k=3, top=1)),
            "no 3 nearest",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        call()
