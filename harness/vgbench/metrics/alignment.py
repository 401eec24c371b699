"""How well images, or what a corpus holds, go with the names of their classes: CLIP score and mean text similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.metrics.diversity import unit

PROMPTS_AT_A_TIME = 512  # about: of whole classes
CAPTIONS_AT_A_TIME = 16_384  # with 512 prompts: 67 MB of similarities


def clip_scores(images: NDArray[Any], text: NDArray[Any], labels: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Return each image's CLIP score (N,): max(cos(image, text of its class), 0), 0..1.

    ``images`` (N, D) and ``text`` (C, D), one for each class, of one CLIP; ``labels``: each image's class positions,
    over which the mean is taken. On pages it stands as 100·max(cos, 0), the scale of torchmetrics; Hessel et al.,
    *CLIPScore* (EMNLP 2021, eq. 1), multiply the same by w = 2.5. The prompt is "a photo of a {class}", with which
    GenBench ranks its images (protocols.md §1.4). Raises ``ValueError`` for an image without a class.
    """
    if not all(len(found) for found in labels):
        raise ValueError("the CLIP score of an image without a class has no text")
    cosines = np.maximum(unit(images) @ unit(text).T, 0.0)
    return np.asarray([row[list(found)].mean() for row, found in zip(cosines, labels, strict=True)])


@dataclass(frozen=True, slots=True)
class Found:
    """What a corpus holds for one class: its nearest images by falling similarity, and their similarities."""

    image_ids: tuple[str, ...]
    similarities: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.similarities))


def nearest_captions(
    prompts: NDArray[Any],
    label: NDArray[np.int64],
    captions: NDArray[Any],
    image_ids: Sequence[str],
    *,
    k: int,
    top: int,
) -> Iterator[Found]:
    """Yield for each class, in order, the ``top`` images whose captions are nearest to its prompts.

    ``prompts`` (P, D): every template filled with the name of class ``label`` (P,); ``captions`` (M, D), M ≥ k, of
    images ``image_ids``. Each prompt hits its k captions of the highest cosine (of equal ones the first); an image's
    similarity is the mean over its hits, its captions counted together. The mean text similarity of a class is the
    mean of the ``top`` images', of a data set the mean over its classes; GenBench: k = 500, top = 10, LAION-400M
    (protocols.md §1.7). Raises ``ValueError`` for fewer than k captions.
    """
    ids = np.asarray(image_ids)
    for classes in np.array_split(np.unique(label), max(1, len(prompts) // PROMPTS_AT_A_TIME)):
        rows = np.flatnonzero(np.isin(label, classes))
        similarities, positions = _top(unit(prompts[rows]), captions, k)
        for position in classes:
            own = label[rows] == position
            names, at = np.unique(ids[positions[own].ravel()], return_inverse=True)
            mean = np.bincount(at, weights=similarities[own].ravel()) / np.bincount(at)
            order = np.argsort(-mean, kind="stable")[:top]
            yield Found(tuple(names[order].tolist()), tuple(mean[order].tolist()))


def _top(prompts: NDArray[np.float64], captions: NDArray[Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the k highest cosines of each prompt (P, k) and their captions' positions, the first of equal ones."""
    if len(captions) < k:
        raise ValueError(f"{len(captions)} captions have no {k} nearest ones")
    best, where = np.empty((len(prompts), 0)), np.empty((len(prompts), 0), np.intp)
    for first in range(0, len(captions), CAPTIONS_AT_A_TIME):
        block = unit(captions[first : first + CAPTIONS_AT_A_TIME])
        best = np.concatenate([best, prompts @ block.T], axis=1)
        where = np.concatenate([where, np.tile(np.arange(first, first + len(block)), (len(prompts), 1))], axis=1)
        if best.shape[1] > k:
            kept = _highest(best, k)
            best, where = best[kept].reshape(-1, k), where[kept].reshape(-1, k)
    return best, where


def _highest(values: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Mark the k highest of each row (R, N), of values equal to the k-th the first."""
    kth = np.partition(values, -k, axis=1)[:, -k, None]
    above, equal = values > kth, values == kth
    return np.asarray(above | (equal & (np.cumsum(equal, axis=1) <= k - above.sum(axis=1, keepdims=True))))
