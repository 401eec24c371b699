"""Probes ``trex-sklearn`` and ``trex-sklearnex``: t-ReX's linear probe of small sets, scikit-learn searched by Optuna.

naver/trex, transfer/logreg_trainer.py: the probe behind lbGen's Table 1 (protocols.md §3.6). Its validation images are
drawn at random; here they are the fifth by hash.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from vgbench.logreg import Basis
from vgbench.logreg import fit as fit_certified
from vgbench.steps.probe import Features, Lesson, Noted
from vgbench_tasks.probes.holdout import Holdout

CERTIFICATE = 1e-6  # of the objective: how near our own fit gets, which scikit-learn's is compared with (ours)


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Noted:
    """Search C for the highest validation top-1, then fit each label vector with it on all the source's images.

    ``tol``: scikit-learn stops its L-BFGS where no entry of the gradient exceeds it. Up to 1.3 that was the gradient of
    the summed loss; since 1.4 it is that of the mean (scikit-learn #26721), and the same ``tol`` is N times as loose:
    it is divided by N (``assumed``: t-ReX names no version, and its other stop, at a small change, has been tightened
    since and cannot be set). Notes the C, and how far the first fit is from the optimum at most, by our certificate.

    Raises ``ValueError`` for several labels, which the protocol does not know, and where no image can be held out.
    """
    assert lesson.x is not None
    if lesson.labels.ndim == 3:
        raise ValueError("t-ReX's probe takes one label for an image; for several take logreg-path")
    holdout = Holdout.of(lesson)
    if not len(holdout.val_x):
        raise ValueError("t-ReX's probe needs two images of a class: it holds one out to choose by")

    def top1(trial: optuna.trial.Trial) -> float:
        c = trial.suggest_float("C", *values["c_range"], log=True)
        model = _fitted(holdout.x, holdout.labels, values, c=c)
        return float((model.predict(holdout.val_x) == holdout.val_labels).mean())

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=lesson.seed))
    study.optimize(top1, n_trials=values["n_trials"])
    c = float(study.best_params["C"])
    models = [_fitted(lesson.x, row, values, c=c) for row in lesson.labels]
    notes = {
        "c": c,
        "validation_top1": study.best_value,
        "chosen_on": len(holdout.val_x),
        "iterations": int(np.max(models[0].n_iter_)),
        **gap(models[0], lesson, c=c),
    }
    return Noted(lambda test_x: np.stack([model.predict_proba(test_x) for model in models]), notes)


def gap(model: Any, lesson: Lesson, *, c: float) -> dict[str, float]:
    """Return the first fit's objective, mean cross-entropy + ||W||^2 / (2 C N), and how far from the optimum at most.

    Ours is within ``CERTIFICATE`` of the optimum, and proves a lower bound. With two classes scikit-learn's one weight
    vector at C is our two at C/2.
    """
    assert lesson.x is not None
    x, labels = np.asarray(lesson.x, dtype=np.float64), lesson.labels[0]
    n_classes = lesson.n_classes
    ours = fit_certified(Basis.of(x), labels, n_classes=n_classes, c=c / 2 if n_classes == 2 else c, tol=CERTIFICATE)
    chosen = np.asarray(model.predict_log_proba(x), dtype=np.float64)[np.arange(len(x)), labels]
    objective = float(-chosen.mean() + np.square(np.asarray(model.coef_, dtype=np.float64)).sum() / (2 * c * len(x)))
    return {"objective": objective, "gap": max(objective - (ours.objective - ours.gap), 0.0)}


def _fitted(x: Features, labels: NDArray[Any], values: Mapping[str, Any], *, c: float) -> Any:
    """Fit ``LogisticRegression`` of the library that the part names."""
    make = import_module(values["library"]).LogisticRegression
    model = make(C=c, solver="lbfgs", max_iter=values["max_iter"], tol=values["tol"] / len(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is noted, which says more
        return model.fit(x, labels)
