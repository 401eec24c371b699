"""Probes ``logreg``, ``logreg-path`` and ``logreg-text``: L2-regularised logistic regression, each fit certified.

Multinomial, or one class against the rest where images have several labels; the intercept is not penalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg import Basis, Fit, FitOvr, fit_path, fit_path_ovr
from vgbench.steps.probe import Features, Labels, Lesson, Noted, Predict
from vgbench_tasks.probes.holdout import Holdout, best
from vgbench_tasks.probes.scores import Floats, sigmoid, softmax, unit

AnyFit: TypeAlias = Fit | FitOvr


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Predict:
    """Fit each label vector at the C that the part names; return a function to scores (P, M, C): probabilities.

    Raises ``RuntimeError`` when a fit does not reach the certified gap.
    """
    assert lesson.x is not None
    fits = _fits(lesson.x, lesson.labels, lesson, values, cs=[values["c"]])
    return lambda test_x: np.stack([probabilities(one, test_x) for one in fits])


def fit_chosen(lesson: Lesson, values: Mapping[str, Any]) -> Noted:
    """Choose C among ``cs`` on validation images only, then fit each label vector with it on all the source's images.

    Where nothing can be held out (one image of each class) the middle of ``cs`` is taken. A part that reads text stays
    near the zero-shot classifier: features are of unit length, and the penalty is ||W - W0||^2 with W0 =
    ``logit_scale`` times the class texts, so that a C near 0 gives zero-shot's weights and few images move them little.
    Notes the C, how many images it was chosen on, and the largest certified gap. Raises as ``fit`` does; a candidate
    that is not chosen may stop early.
    """
    assert lesson.x is not None
    prior = None if lesson.text is None else values["logit_scale"] * unit(lesson.text).T
    seen = _unchanged if prior is None else unit
    cs: Sequence[float] = values["cs"]
    holdout = Holdout.of(lesson)
    chosen = len(cs) // 2
    if len(holdout.val_x):
        basis, val_x = Basis.of(seen(holdout.x)), seen(holdout.val_x)
        path = _path(basis, holdout.labels, lesson, cs=cs, tol=values["tol"], prior=prior)
        chosen = best([probabilities(one, val_x) for one in path], holdout.val_labels)
    fits = _fits(seen(lesson.x), lesson.labels, lesson, values, cs=[cs[chosen]], prior=prior)
    notes = {
        "c": cs[chosen],
        "chosen_on": len(holdout.val_x),
        "validation": "none" if not len(holdout.val_x) else "source" if lesson.val is None else "real",
        "gap": max(float(np.max(one.gap)) for one in fits),
    }
    return Noted(lambda test_x: np.stack([probabilities(one, seen(test_x)) for one in fits]), notes)


def probabilities(one: AnyFit, x: NDArray[np.floating[Any]]) -> Floats:
    """Return (M, C): the softmax of the classes, or each class's own probability where there are several labels."""
    return sigmoid(one.logits(x)) if isinstance(one, FitOvr) else softmax(one.logits(x))


def _fits(
    x: NDArray[np.floating[Any]],
    labels: Labels,
    lesson: Lesson,
    values: Mapping[str, Any],
    *,
    cs: Sequence[float],
    prior: Floats | None = None,
) -> list[AnyFit]:
    """Fit each label vector of ``labels`` (P, N…) at the only C of ``cs``."""
    basis, tol = Basis.of(x), values["tol"]
    fits = [_path(basis, row, lesson, cs=cs, tol=tol, prior=prior)[0] for row in labels]
    late = [one for one in fits if not np.all(one.converged)]
    if late:
        raise RuntimeError(f"{len(late)} of {len(fits)} fits stopped above the gap {tol}: {np.max(late[0].gap):.2e}")
    return fits


def _path(
    basis: Basis, labels: Labels, lesson: Lesson, *, cs: Sequence[float], tol: float, prior: Floats | None
) -> Sequence[AnyFit]:
    if labels.ndim == 2:
        return fit_path_ovr(basis, labels.astype(np.bool_), cs=cs, tol=tol, prior=prior)
    return fit_path(basis, labels, n_classes=lesson.n_classes, cs=cs, tol=tol, prior=prior)


def _unchanged(x: Features) -> Features:
    return x
