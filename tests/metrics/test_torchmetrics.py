"""Every figure that torchmetrics has too, or that its pieces make up, on one set of features: equal to 1e-6.

Not skipped where it is missing: it belongs to the extra ``dev``. Its state is float64 wherever it can be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.probes.drawn import N_CLASSES, drawn, lesson, scores, texts
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchmetrics.functional.classification import (
    binary_auroc,
    multiclass_accuracy,
    multilabel_auroc,
    multilabel_precision_recall_curve,
)
from torchmetrics.functional.multimodal import clip_score
from torchmetrics.functional.pairwise import pairwise_cosine_similarity
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from vgbench.metrics.alignment import clip_scores
from vgbench.metrics.classify import mean_per_class
from vgbench.metrics.frechet import Moments, fid, kid
from vgbench.metrics.multilabel import eleven_point_map
from vgbench.metrics.ranking import roc_auc

CLOSE = 1e-6
CLASSES = ["ant", "bee", "cat", "dog"]
Features = NDArray[np.float64]


def features(seed: int, n: int, *, d: int = 8) -> Features:
    random = np.random.RandomState(seed)
    return random.randn(n, d) @ random.randn(d, d) + random.randn(d)


# ── Distances ────────────────────────────────────────────────────────────────────────────────────


class Given(nn.Module):
    """An extractor whose "images" are features already."""

    num_features = 8

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_frechet_distance(seed: int, scale: float) -> None:
    x, y = scale * features(seed, 60), scale * features(seed + 100, 45)
    theirs = FrechetInceptionDistance(Given()).set_dtype(torch.float64)
    for half in np.array_split(x, 2):
        theirs.update(torch.tensor(half), real=False)
    theirs.update(torch.tensor(y), real=True)
    assert fid(Moments.of(x), Moments.of(y)) == pytest.approx(float(theirs.compute()), rel=CLOSE, abs=CLOSE)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")  # all features: 40 here
@pytest.mark.parametrize("seed", range(5))
def test_kernel_distance_over_one_subset_that_is_the_whole_set(seed: int) -> None:
    n = 40  # theirs takes equal numbers only
    x, y = features(seed, n), features(seed + 100, n)
    theirs = KernelInceptionDistance(Given(), subsets=1, subset_size=n).set_dtype(torch.float64)
    theirs.update(torch.tensor(x), real=False)
    theirs.update(torch.tensor(y), real=True)
    mean, _ = theirs.compute()
    assert kid(x, y) == pytest.approx(float(mean), rel=CLOSE, abs=CLOSE)


# ── Readouts without training ────────────────────────────────────────────────────────────────────


def tensors(*arrays: NDArray[Any]) -> list[Tensor]:
    return [torch.tensor(array, dtype=torch.float64 if array.dtype.kind == "f" else torch.int64) for array in arrays]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("readout", ["zeroshot", "cler", "cler+text", "knn"])
def test_readout_and_its_accuracies(readout: str, seed: int) -> None:
    """Scores by their pairwise cosines; top-1 and mean per class (unequal numbers of images) by their accuracies."""
    train_x, train = drawn(12, seed=seed)
    test_x, test = drawn(30, seed=seed + 50, noise=2.0)
    kept = np.arange(len(test)) % 3 != 0
    kept[test == 0] = True
    test_x, test, text = test_x[kept], test[kept], texts()
    reads_text = readout in ("zeroshot", "cler+text")
    given = lesson(train_x, train, text=text if reads_text else None)
    (ours,) = scores(readout, given, test_x)

    x, labels, t, truth, classes = tensors(train_x, train, test_x, test, text)
    of_class = nn.functional.one_hot(labels, N_CLASSES).double()
    centres = normalize(of_class.T @ normalize(x) / of_class.sum(0)[:, None])
    if readout == "knn":
        nearest = pairwise_cosine_similarity(t, x).topk(10).indices
        theirs = of_class[nearest].mean(dim=1)
    elif readout == "zeroshot":
        theirs = (100 * pairwise_cosine_similarity(t, classes)).softmax(dim=1)
    else:
        centres = centres if readout == "cler" else normalize(centres + normalize(classes))
        theirs = pairwise_cosine_similarity(t, centres).softmax(dim=1)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=CLOSE)

    names = np.array([f"class {k}" for k in range(N_CLASSES)])
    found = mean_per_class({"prediction": names[ours.argmax(axis=1)]}, {"class_id": names[test]}, {})
    by_name = {value.metric: value.value for value in found.metrics}
    for name, average in (("top1", "micro"), ("mean_per_class", "macro")):
        expected = multiclass_accuracy(torch.tensor(ours), truth, N_CLASSES, average=average)
        assert by_name[name] == pytest.approx(float(expected), abs=CLOSE) and 0.2 < float(expected) < 1
    assert by_name["top1"] != pytest.approx(by_name["mean_per_class"], abs=100 * CLOSE)  # else one could be the other


# ── Rankings ─────────────────────────────────────────────────────────────────────────────────────


def ranked(seed: int) -> tuple[Features, NDArray[np.bool_]]:
    """Return scores (N, C) within 0..1, else theirs are put through a sigmoid; every other world has equal ones."""
    random = np.random.RandomState(seed)
    truth = random.rand(80, len(CLASSES)) < [0.1, 0.3, 0.5, 0.8]
    truth[:2] = [[True] * len(CLASSES), [False] * len(CLASSES)]
    found = 1 / (1 + np.exp(random.randn(*truth.shape) - truth))
    return (found.round(1) if seed % 2 else found), truth


@pytest.mark.parametrize("seed", range(6))
def test_eleven_point_precision_on_their_curve(seed: int) -> None:
    """Their curve begins, as scikit-learn's, in (recall 0, precision 1), which the devkit's has not."""
    given, truth = ranked(seed)
    preds, target = torch.tensor(given), torch.tensor(truth).long()
    precisions, recalls, _ = multilabel_precision_recall_curve(preds, target, len(CLASSES))
    labels = np.fromiter(([c for c, has in zip(CLASSES, row, strict=True) if has] for row in truth), object, len(truth))
    for start, left_out in (("one", 0), (None, 1)):
        points = [
            [float(p[: len(p) - left_out][10 * r[: len(r) - left_out] >= tenth - 1e-5].max()) for tenth in range(11)]
            for p, r in zip(precisions, recalls, strict=True)
        ]
        options = {"class_ids": CLASSES, "resamples": 0} | ({"precision_at_recall_0": start} if start else {})
        found = eleven_point_map({"scores": given}, {"class_ids": labels}, options)
        assert [row[2] for row in found.per_class] == pytest.approx([np.mean(of) for of in points], abs=CLOSE)
        assert found.metrics[0].value == pytest.approx(np.mean(points), abs=CLOSE)
    areas = multilabel_auroc(preds, target, len(CLASSES), average="macro")
    assert found.metrics[1].value == pytest.approx(float(areas), abs=CLOSE)


@pytest.mark.parametrize("seed", range(6))
def test_area_under_the_curve(seed: int) -> None:
    given, truth = ranked(seed)
    labels = {"class_id": np.where(truth[:, 1], "bee", "ant")}
    both = np.stack([1 - given[:, 1], given[:, 1]], axis=1)
    (ours,) = roc_auc({"scores": both}, labels, {"class_ids": ["ant", "bee"], "positive": "bee"}).metrics
    theirs = binary_auroc(torch.tensor(given[:, 1]), torch.tensor(truth[:, 1]).long())
    assert ours.value == pytest.approx(float(theirs), abs=CLOSE)


# ── Alignment ────────────────────────────────────────────────────────────────────────────────────


class GivenClip(nn.Module):
    """A CLIP, and its processor, whose "images" (1, 1, D) are features, and whose texts are rows of ``text``."""

    def __init__(self, text: Features) -> None:
        super().__init__()
        self.text = torch.tensor(text)
        self.config = object()

    def process(self, *, images: list[Tensor] | None = None, text: list[str] | None = None, **_: Any) -> dict[str, Any]:
        if images is not None:
            return {"pixel_values": torch.stack(images).flatten(1)}
        return {"input_ids": torch.tensor([int(one) for one in text or ()]), "attention_mask": torch.ones(1)}

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return pixels

    def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.text[ids]


def test_clip_score_of_an_image_and_the_mean_of_images_that_go_with_their_text() -> None:
    """Theirs, of one image, is 100·max(cos, 0); of several it is max(mean, 0), where ours keeps each image at 0."""
    images, text = features(1, 30), features(2, 5)
    labels = np.arange(30) % 5
    model = GivenClip(text)

    def theirs(rows: list[int]) -> float:
        shown = [torch.tensor(images[row])[None, None] for row in rows]
        return float(clip_score(shown, [str(labels[row]) for row in rows], lambda: (model, model.process)))  # type: ignore[arg-type,return-value]  # stand-ins

    ours = 100 * clip_scores(images, text, [[k] for k in labels])
    assert ours == pytest.approx([theirs([row]) for row in range(30)], abs=100 * CLOSE)
    above = [row for row in range(30) if ours[row] > 0]
    assert 0 < len(above) < 30 and ours[above].mean() == pytest.approx(theirs(above), abs=100 * CLOSE)
    assert ours.mean() > theirs(list(range(30)))
