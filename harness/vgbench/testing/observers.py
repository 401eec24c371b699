"""Scripted observers: networks whose bias is known because it is written down. Numpy only.

An observer reads a label table (a mapping of (N,) arrays: the factors of each test image) and answers (N,) category
ids. What it answers goes through the same scorers as a network's answers, and must get its own value back: so the
instrument is tried against truth without any training.

Factor columns are those of the scorers' labels: ``shape`` (or ``class_id``), ``texture``, ``background`` (the category
that the background is typical of, "" for none), ``n_uncommon`` (0..3). Random draws come from numpy's frozen
``RandomState`` streams, one set for each row in the table's order, whatever the factors are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = Mapping[str, Any]
Answers = NDArray[np.str_]


def shape_only(table: Table, seed: int = 0) -> Answers:
    """Answer by the shape, always right about it: texture inclination 0, every gap 0, every context bias 1."""
    return follow(table, {"shape": 1.0}, seed)


def texture_only(table: Table, seed: int = 0) -> Answers:
    """Answer by the texture: texture inclination 1; the texture gap is the accuracy with the own texture."""
    return follow(table, {"texture": 1.0}, seed)


def background_only(table: Table, seed: int = 0) -> Answers:
    """Answer by the background, and guess where it is neutral: background gap 1 where backgrounds are typical."""
    return follow(table, {"background": 1.0}, seed)


def follow(table: Table, weights: Mapping[str, float], seed: int = 0, *, classes: Sequence[str] = ()) -> Answers:
    """Answer each row by one cue, drawn with ``weights`` (cue → probability); the rest, and empty cues, by a guess.

    With p_s for shape, p_t for texture and K categories, a cue-conflict trial is answered by shape with probability
    p_s + g/K, by texture with p_t + g/K, where g = 1 − p_s − p_t: texture inclination (p_t + g/K) / (p_s + p_t + 2g/K),
    corrected p_t / (p_s + p_t). ``classes``: what is guessed from (default: the categories of the shapes).
    """
    if any(p < 0 for p in weights.values()) or sum(weights.values()) > 1 + 1e-9:
        raise ValueError(f"weights {dict(weights)} are no probabilities of at most 1 in all")
    draws = np.random.RandomState(seed).random_sample((len(_shape(table)), 2))
    answer = _guess(draws[:, 0], classes or classes_of(table))
    edge = 0.0
    for cue in sorted(weights):
        value = np.asarray(_shape(table) if cue == "shape" else table[cue]).astype(str)
        chosen = (draws[:, 1] >= edge) & (draws[:, 1] < edge + weights[cue]) & (value != "")
        answer = np.where(chosen, value, answer)
        edge += weights[cue]
    return answer


def right_with(table: Table, accuracy: Sequence[float], seed: int = 0) -> Answers:
    """Be right with probability ``accuracy[k]`` where k attributes are uncommon: CB_k = accuracy[k] / accuracy[0].

    Equal accuracies are a context-blind observer, with every context bias 1. A wrong answer is another category.
    """
    draws = np.random.RandomState(seed).random_sample((len(_shape(table)), 2))
    truth, classes = _shape(table), np.asarray(classes_of(table))
    step = 1 + (draws[:, 0] * (len(classes) - 1)).astype(int)
    other = classes[(np.searchsorted(classes, truth) + step) % len(classes)]
    right = draws[:, 1] < np.asarray(accuracy, float)[np.asarray(table["n_uncommon"], int)]
    return np.where(right, truth, other)


def context_blind(table: Table, seed: int = 0, *, accuracy: float = 0.8) -> Answers:
    """Be right equally often in every context: every context bias is 1."""
    return right_with(table, [accuracy] * 4, seed)


def constant(table: Table, class_id: str) -> Answers:
    """Always answer the same: it knows nothing, and must get no bias value where one would need knowledge."""
    return np.full(len(_shape(table)), class_id)


def guesser(table: Table, seed: int = 0, *, classes: Sequence[str] = ()) -> Answers:
    """Answer at random: raw texture inclination one half, and no corrected one."""
    return follow(table, {}, seed, classes=classes)


def classes_of(table: Table) -> list[str]:
    """Return the categories of a table's shapes, sorted."""
    return sorted(set(_shape(table).tolist()))


def _shape(table: Table) -> Answers:
    return np.asarray(table["shape"] if "shape" in table else table["class_id"]).astype(str)


def _guess(draw: NDArray[np.float64], classes: Sequence[str]) -> Answers:
    return np.asarray(np.asarray(classes)[(draw * len(classes)).astype(int)])
