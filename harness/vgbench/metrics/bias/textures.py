"""Cue conflict: an image with the shape of one category and the texture of another. Which of the two is named?

Source: Geirhos et al., ICLR 2019 (1,280 images, 16 categories); texture inclination = 1 − shape bias as in lbGen
§4.3. The chance-corrected form and the texture gap are ours: a guesser names shape and texture equally often, so
the raw figure drifts to one half as accuracy falls (docs/bias.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.metrics.bias import resampling
from vgbench.metrics.bias.floor import floor_of, reason_at_floor
from vgbench.metrics.bias.pairs import difference
from vgbench.stats import wilson
from vgbench.types import Columns, Interval, Scored, Value

RAW = "texture_inclination"
CORRECTED = "texture_inclination_corrected"
SHAPE, TEXTURE, DECIDED = "shape_accuracy", "texture_accuracy", "decided"
GAP = "texture_gap"
CONFLICT, OWN, OTHER = "conflict", "own_texture", "other_texture"  # values of the column ``variant``
LEAST_SHARE = 0.05  # of trials answered above chance: below it the corrected ratio is one of noise (toybox.md)

Bools = NDArray[np.bool_]


def cue_conflict(predictions: Columns, labels: Columns, options: Mapping[str, Any]) -> Scored:
    """Score the answers to cue-conflict trials.

    ``predictions["prediction"]`` (N,) category ids or ``na``; ``labels["shape"]`` and ``labels["texture"]`` (N,)
    category ids. Trials with shape = texture are dropped; of M others S were answered by the shape, T by the texture:

    ``texture_inclination``            T / (S + T), n = S + T; Wilson. The papers' figure
    ``texture_inclination_corrected``  T' / (S' + T'), n = S + T, with S' = max(0, S − e), T' = max(0, T − e) and
                                       e = (M − S − T) / (K − 2), what guessing adds to each; bootstrap over trials.
                                       Withheld unless (S + T) / M is above 2/K (its Wilson interval is) and
                                       (S' + T') / M at least .05
    ``shape_accuracy``, ``texture_accuracy``, ``decided``   S/M, T/M, (S + T)/M; n = M; Wilson

    Where the labels have a column ``variant``, trials are its rows ``conflict``; rows ``own_texture`` and
    ``other_texture`` show a shape with its own and with another texture, and give one metric more:

    ``texture_gap``  accuracy with the own minus with another texture, −1..1; paired by the column ``pair``

    Options: ``n_classes`` (K; default: the categories that occur as shape or texture), and ``floor`` or
    ``random_init`` (``vgbench.metrics.bias.floor``) for the share ``decided``: at or below it inclinations and gap
    are withheld. Per class: the raw inclination by shape, n the trials decided, classes without any left out.
    """
    shape, texture = np.asarray(labels["shape"]), np.asarray(labels["texture"])
    answer = np.asarray(predictions["prediction"])
    if not answer.shape == shape.shape == texture.shape:
        raise ValueError(f"{answer.shape[0]} predictions for {shape.shape[0]} shapes and {texture.shape[0]} textures")
    variant = np.asarray(labels["variant"]) if "variant" in labels else np.full(shape.shape, CONFLICT)
    trial = (variant == CONFLICT) & (shape != texture)
    k = int(options.get("n_classes") or len(np.union1d(shape, texture)))
    by_shape, by_texture = trial & (answer == shape), trial & (answer == texture)
    m, s, t = int(trial.sum()), int(by_shape.sum()), int(by_texture.sum())

    def decided(columns: Columns) -> tuple[int, int]:
        said = np.asarray(columns["prediction"])
        return int((trial & ((said == shape) | (said == texture))).sum()), m

    withheld = reason_at_floor(s + t, m, floor_of(options, decided), "the share of trials decided,")
    values = [
        _raw(s, t, m, withheld),
        _corrected(s, t, m, k, withheld),
        _share(SHAPE, s, m),
        _share(TEXTURE, t, m),
        _share(DECIDED, s + t, m),
    ]
    if "variant" in labels:
        values.append(_gap(answer == shape, variant, labels, withheld))
    return Scored(tuple(values), () if withheld else _by_class(shape, by_shape, by_texture))


def corrected(s: Any, t: Any, m: int, k: int) -> tuple[Any, Any]:
    """Return (S', T') for counts or shares of M trials and K > 2 categories: what remains without lucky guesses."""
    chance = (m - s - t) / (k - 2)
    return np.maximum(0, s - chance), np.maximum(0, t - chance)


def _share(metric: str, right: int, n: int) -> Value:
    return Value(metric, right / n, n, wilson(right, n)) if n else Value(metric, None, 0, reason="no trials")


def _raw(s: int, t: int, m: int, withheld: str | None) -> Value:
    reason = withheld
    if s + t == 0:
        reason = f"none of {m} trials was answered by shape or texture" if m else "no trials"
    return Value(RAW, None, s + t, reason=reason) if reason else Value(RAW, t / (s + t), s + t, wilson(t, s + t))


def _corrected(s: int, t: int, m: int, k: int, withheld: str | None) -> Value:
    reason = withheld or _why_uncorrectable(s, t, m, k)
    if reason:
        return Value(CORRECTED, None, s + t, reason=reason)
    shape, texture = corrected(s, t, m, k)
    drawn = resampling.multinomial([s, t, m - s - t])
    above = corrected(drawn[:, 0], drawn[:, 1], 1, k)
    ci = resampling.percentile(resampling.ratio(above[1], above[0] + above[1]), "bootstrap over trials")
    return Value(CORRECTED, float(texture / (shape + texture)), s + t, ci)


def _why_uncorrectable(s: int, t: int, m: int, k: int) -> str | None:
    if m == 0:
        return "no trials"
    if k <= 2:
        return f"{k} categories: with two, every answer is shape or texture, and no guess shows"
    coverage = wilson(s + t, m)
    assert coverage is not None
    if coverage.lo <= 2 / k:
        return f"{(s + t) / m:.3f} of trials decided is not above 2/{k}, what guessing gives"
    shape, texture = corrected(s, t, m, k)
    if (shape + texture) / m < LEAST_SHARE:
        return f"{(shape + texture) / m:.3f} of trials answered above chance, under {LEAST_SHARE}"
    return None


def _gap(right: Bools, variant: NDArray[Any], labels: Columns, withheld: str | None) -> Value:
    found = difference(right, variant == OWN, variant == OTHER, labels.get("pair"))
    if found is None:
        return Value(GAP, None, 0, reason=f"no rows of variant {OWN} or none of {OTHER}")
    ci: Interval | None = found.ci
    return Value(GAP, None, found.n, reason=withheld) if withheld else Value(GAP, found.value, found.n, ci)


def _by_class(shape: NDArray[Any], by_shape: Bools, by_texture: Bools) -> tuple[tuple[str, int, float], ...]:
    classes, position = np.unique(shape, return_inverse=True)
    s = np.bincount(position, weights=by_shape, minlength=len(classes)).astype(int)
    t = np.bincount(position, weights=by_texture, minlength=len(classes)).astype(int)
    return tuple((str(c), int(a + b), float(b / (a + b))) for c, a, b in zip(classes, s, t, strict=True) if a + b)
