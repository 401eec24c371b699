"""What hyper-parameters are chosen on: real validation images, or a fifth of the source's own, by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vgbench.steps.probe import Features, Labels, Lesson
from vgbench_tasks.probes.scores import Floats

SHARE = 0.2  # of each class (design §2; ELEVATER and t-ReX hold out as much, drawn at random)
LEAST = 1e-12  # a probability that the cross-entropy counts as no less: log of 0 would hide all other images


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """Features and labels to fit on, and those to choose by; ``val_x`` has no row where there is nothing to choose by.

    Labels are (N,) and (M,), or (N, C) and (M, C) where images have several.
    """

    x: Features
    labels: Labels
    val_x: Features
    val_labels: Labels

    @classmethod
    def of(cls, lesson: Lesson) -> Holdout:
        """Take the lesson's validation images, or hold out the source's own, by the first label vector.

        A control's hyper-parameters are chosen once, on its first permutation: it asks whether labels leak into the
        predictions, not how well permuted labels can be tuned for, and 20 searches would cost 20 times as much.
        """
        assert lesson.x is not None
        first = lesson.labels[0]
        if lesson.val is not None:
            return cls(lesson.x, first, *lesson.val)
        chosen = held_out(lesson.ids, first)
        return cls(lesson.x[~chosen], first[~chosen], lesson.x[chosen], first[chosen])


def held_out(ids: Sequence[str], labels: Labels) -> NDArray[np.bool_]:
    """Return which images (N,) validate: the lowest fifth of each class by SHA-256 of the image id.

    At least one of a class, and none of a class that has one image. An image of several classes counts for the first.
    """
    return _lowest(ids, labels, lambda n: min(max(1, round(SHARE * n)), n - 1))


def at_most(lesson: Lesson, n_per_class: int) -> Lesson:
    """Return the lesson of each class's lowest ``n_per_class`` images by SHA-256 of the image id, in their order."""
    assert lesson.x is not None
    kept = np.flatnonzero(_lowest(lesson.ids, lesson.labels[0], lambda n: min(n, n_per_class)))
    return replace(lesson, x=lesson.x[kept], labels=lesson.labels[:, kept], ids=[lesson.ids[i] for i in kept])


def _lowest(ids: Sequence[str], labels: Labels, number_of: Callable[[int], int]) -> NDArray[np.bool_]:
    """Return which images (N,) are among their class's ``number_of(its size)`` lowest by SHA-256 of the image id."""
    found = np.zeros(len(ids), dtype=np.bool_)
    first = labels.argmax(axis=1) if labels.ndim == 2 else labels
    digests = np.asarray([hashlib.sha256(image_id.encode()).hexdigest() for image_id in ids])
    for k in np.unique(first):
        rows = np.flatnonzero(first == k)
        found[rows[np.argsort(digests[rows], kind="stable")[: number_of(len(rows))]]] = True
    return found


def best(candidates: Sequence[Floats], labels: Labels) -> int:
    """Return the candidate whose probabilities (M, C) suit ``labels`` best.

    The most images right, and of equally many the lowest cross-entropy: few images give few different accuracies. With
    several labels the lowest mean binary cross-entropy. Of equals the first (all this is ours: ``assumed``).
    """
    if labels.ndim == 2:
        losses = [-np.log(np.maximum(np.where(labels, p, 1.0 - p), LEAST)).mean() for p in candidates]
        return int(np.argmin(losses))
    rows = np.arange(len(labels))
    ranks = [
        (-int((p.argmax(axis=1) == labels).sum()), float(-np.log(np.maximum(p[rows, labels], LEAST)).mean()))
        for p in candidates
    ]
    return ranks.index(min(ranks))
