"""From the classes of a network's head to a test's categories: by mean probability, by top class, or by restriction.

Categories are pairs of (category id, positions of the head's classes that count as it), in the order in which equal
means are decided.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Categories = Sequence[tuple[str, Sequence[int]]]
NOTHING = "na"


def by_mean(probabilities: NDArray[np.floating], categories: Categories) -> NDArray[np.str_]:
    """Return the category of the highest mean member probability: (N, C) → (N,) ids; of equal ones the first.

    The mean, not the sum or the maximum: with sums, ImageNet's hundred dogs would win over its one oven.
    Source: model-vs-human's decision mapping, protocols.md §3.8. Raises ``ValueError`` for a class that is not there.
    """
    _refuse_strangers(categories, probabilities.shape[1])
    means = np.stack([probabilities[:, list(members)].mean(axis=1, dtype=np.float64) for _, members in categories], 1)
    return np.asarray(np.asarray([category for category, _ in categories])[means.argmax(axis=1)])


def by_top1(top1: NDArray[np.integer], categories: Categories, n_classes: int) -> NDArray[np.str_]:
    """Return the category of the top class: (N,) positions 0..C-1 → (N,) ids, ``na`` for a class of no category.

    Source: protocols.md §3.9 and §3.10 (the argmax over all 1,000 classes, not over the members). Raises
    ``ValueError`` for a class that is not there, or of two categories.
    """
    _refuse_strangers(categories, n_classes)
    names = [NOTHING] * n_classes
    for category, members in categories:
        for member in members:
            if names[member] != NOTHING:
                raise ValueError(f"class {member} counts as {names[member]!r} and as {category!r}")
            names[member] = category
    return np.asarray(np.asarray(names)[top1])


def by_restricted(probabilities: NDArray[np.floating], categories: Categories) -> NDArray[np.str_]:
    """Return the category of the most probable member, other classes of the head left out: (N, C) → (N,) ids.

    ImageNet-A and -R restrict a head of 1,000 classes to their own 200; where a category has several members
    (ObjectNet) its most probable one counts, as in wise-ft. Of equal ones the first category. Raises ``ValueError`` for
    a class that is not there, and for a row that gives all of them nothing: its order is lost.
    """
    _refuse_strangers(categories, probabilities.shape[1])
    best = np.stack([probabilities[:, list(members)].max(axis=1) for _, members in categories], 1)
    if len(best) and best.max(axis=1).min() <= 0:
        raise ValueError("a row gives every class of the test a probability of 0 in float32: they cannot be told apart")
    return np.asarray(np.asarray([category for category, _ in categories])[best.argmax(axis=1)])


def _refuse_strangers(categories: Categories, n_classes: int) -> None:
    for category, members in categories:
        if not members or not all(0 <= member < n_classes for member in members):
            raise ValueError(f"category {category!r} has classes outside 0..{n_classes - 1}, or none")
