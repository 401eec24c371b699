"""11-point mAP and ROC-AUC against their definitions in plain loops, the usual libraries, and simulated worlds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_auc_score
from tests.metrics import plain

from vgbench.metrics.multilabel import eleven_point_map
from vgbench.metrics.ranking import roc_auc
from vgbench.types import Columns, Scored, Value

WORLDS, LEAST = 120, 0.95 - 3.3 * (0.95 * 0.05 / 120) ** 0.5  # simulated worlds; 3.3 Monte-Carlo standard errors
CLASSES = ["ant", "bee", "cat", "dog"]


def world(
    seed: int, n: int = 60, *, ties: bool = False, signal: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    random = np.random.RandomState(seed)
    truth = random.rand(n, len(CLASSES)) < [0.1, 0.3, 0.5, 0.8]
    truth[:2] = [[True] * len(CLASSES), [False] * len(CLASSES)]
    scores = (signal * truth + random.randn(n, len(CLASSES))).astype(np.float32)
    return (scores.round() if ties else scores), truth


def lists(truth: NDArray[np.bool_]) -> NDArray[np.object_]:
    return np.fromiter(([c for c, has in zip(CLASSES, row, strict=True) if has] for row in truth), object, len(truth))


def several(scores: NDArray[np.float32], truth: NDArray[np.bool_], **options: object) -> Scored:
    return eleven_point_map({"scores": scores}, {"class_ids": lists(truth)}, {"class_ids": CLASSES, **options})


def two(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> Value:
    labels: Columns = {"class_id": np.where(positive, "bee", "ant")}
    given = np.stack([-scores, scores], axis=1)
    (value,) = roc_auc({"scores": given}, labels, {"class_ids": ["ant", "bee"], "positive": "bee"}).metrics
    return value


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_equals_its_definition(seed: int) -> None:
    ties = bool(seed % 2)
    scores, truth = world(seed, ties=ties)
    found = several(scores, truth, resamples=0)
    for k, (class_id, n, value) in enumerate(found.per_class):
        column, has = scores[:, k].tolist(), truth[:, k].tolist()
        assert (class_id, n) == (CLASSES[k], sum(has)) and value == pytest.approx(plain.tied_ap(column, has), abs=1e-12)
        if not ties:
            assert value == pytest.approx(plain.devkit_ap(column, has), abs=1e-12)
    assert found.metrics[0].value == pytest.approx(np.mean([row[2] for row in found.per_class]), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_elevaters_own_start_is_scikit_learns_curve(seed: int) -> None:
    scores, truth = world(seed, ties=bool(seed % 2), signal=0.0)
    found = several(scores, truth, resamples=0, precision_at_recall_0="one")
    higher = several(scores, truth, resamples=0)
    for k, (_, _, value) in enumerate(found.per_class):
        precision, recall, _ = precision_recall_curve(truth[:, k], scores[:, k])
        points = [precision[recall * 10 >= tenth - 1e-9].max() for tenth in range(11)]
        assert value == pytest.approx(np.mean(points), abs=1e-12)
        assert value == pytest.approx(plain.tied_ap(scores[:, k].tolist(), truth[:, k].tolist(), starts_at_one=True))
        assert 0 <= value - higher.per_class[k][2] <= 1 / 11
    assert any(a[2] > b[2] for a, b in zip(found.per_class, higher.per_class, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_area_equals_its_definition_and_scikit_learns(seed: int) -> None:
    scores, truth = world(seed, ties=bool(seed % 2))
    for k in range(len(CLASSES)):
        value = two(scores[:, k], truth[:, k]).value
        assert value == pytest.approx(plain.auc(scores[:, k].tolist(), truth[:, k].tolist()), abs=1e-12)
        assert value == pytest.approx(roc_auc_score(truth[:, k], scores[:, k]), abs=1e-12)
    mean = several(scores, truth, resamples=0).metrics[1]
    assert mean.metric == "mean_auc" and mean.value == pytest.approx(roc_auc_score(truth, scores, average="macro"))


def test_variance_is_delongs() -> None:
    scores, truth = world(3, 80, ties=True)
    s, has = scores[:, 1], truth[:, 1]
    wins = [[1.0 if p > n else 0.5 if p == n else 0.0 for n in s[~has]] for p in s[has]]
    variance = np.var(np.mean(wins, axis=1), ddof=1) / has.sum() + np.var(np.mean(wins, axis=0), ddof=1) / (~has).sum()
    found = two(s, has)
    assert found.ci is not None and found.value is not None
    assert found.ci.hi - found.ci.lo == pytest.approx(2 * 1.959964 * variance**0.5, rel=1e-6)


def test_order_of_rows_and_scale_of_scores_change_nothing() -> None:
    scores, truth = world(1, ties=True)
    order = np.random.RandomState(0).permutation(len(scores))
    first, other = several(scores, truth, resamples=0), several(3 * scores[order] + 7, truth[order], resamples=0)
    assert [v.value for v in first.metrics] == pytest.approx([v.value for v in other.metrics], abs=1e-12)
    assert first.per_class == other.per_class


def test_perfect_ranking_and_no_information() -> None:
    _, truth = world(2)
    assert [v.value for v in several(truth.astype(np.float32), truth).metrics] == [1.0, 1.0]
    flat = several(np.zeros((60, 4), np.float32), truth)
    assert flat.metrics[0].value == pytest.approx(truth.mean())  # all equal: precision is prevalence at every recall
    assert flat.metrics[1].value == 0.5
    assert two(np.zeros(60, np.float32), truth[:, 0]).value == 0.5


@pytest.mark.parametrize(("coverage_of", "n"), [("eleven_point_map", 200), ("mean_auc", 200), ("roc_auc", 100)])
def test_intervals_cover_the_truth(coverage_of: str, n: int) -> None:
    def found(seed: int, n: int, resamples: int) -> Value:
        scores, truth = world(seed, n)
        if coverage_of == "roc_auc":
            return two(scores[:, 1], truth[:, 1])
        return {v.metric: v for v in several(scores, truth, resamples=resamples).metrics}[coverage_of]

    expected = np.mean([found(10_000 + seed, n, 0).value for seed in range(400)])  # over test sets of this size
    held = [ci.lo <= expected <= ci.hi for seed in range(WORLDS) if (ci := found(seed, n, 200).ci) is not None]
    assert len(held) == WORLDS and np.mean(held) >= LEAST


def test_class_without_positive_withholds_the_mean() -> None:
    scores, truth = world(0)
    truth[:, 2] = False
    found = several(scores, truth)
    assert all(v.value is None and "cat" in (v.reason or "") for v in found.metrics) and not found.per_class


def test_one_kind_only_gives_no_area() -> None:
    value = two(np.arange(5, dtype=np.float32), np.zeros(5, bool))
    assert value.value is None and value.reason == "0 positive of 5 items"


def _strange() -> Scored:
    return eleven_point_map(
        {"scores": np.zeros((1, 2))}, {"class_ids": np.array([["elk"]], object)}, {"class_ids": ["ant", "bee"]}
    )


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: roc_auc({"scores": np.zeros((1, 2))}, {"class_id": ["a"]}, {"class_ids": ["a", "b"]}), "positive"),
        (lambda: roc_auc({"scores": np.zeros((1, 2))}, {"class_id": ["a"]}, {"positive": "a"}), "class_ids is missing"),
        (lambda: several(np.zeros((3, 3), np.float32), np.zeros((3, 4), bool)), r"shape \(3, 3\) for 4 classes"),
        (lambda: several(np.full((3, 4), np.nan, np.float32), np.zeros((3, 4), bool)), "3 samples have a score"),
        (_strange, "label 'elk' is none"),
        (lambda: several(*world(0), precision_at_recall_0="zero"), "must be highest or one"),
    ],
)
def test_what_cannot_be_ranked_is_refused(call: Callable[[], Scored], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        call()
