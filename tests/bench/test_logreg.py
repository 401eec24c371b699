"""``vgbench bench logreg`` judges: a sound path holds, a path that stops early is named, whatever its speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vgbench.bench import logreg
from vgbench.bench.mixture import Mixture
from vgbench.logreg import Basis, Fit, fit_path


def small() -> Mixture:
    return Mixture.drawn(300, 20, n_classes=4)


def path(mixture: Mixture, *, tol: float) -> tuple[Fit, ...]:
    return fit_path(Basis.of(mixture.x), mixture.labels, n_classes=4, cs=logreg.CS, tol=tol)


def test_mixture_is_drawn_alike_and_its_classes_can_be_told_apart() -> None:
    one, other = small(), small()
    assert one.x.tobytes() == other.x.tobytes() and one.x.dtype == np.float32
    assert one.x.shape == one.unseen.shape == (300, 20)
    model = path(one, tol=1e-5)[3]
    assert (model.predict(one.x) == one.labels).mean() > 0.4


def test_objective_is_the_one_that_the_solver_minimises() -> None:
    mixture = small()
    for model in path(mixture, tol=1e-5):
        assert logreg.objective(mixture, model.weights, model.bias, model.c) == pytest.approx(
            model.objective, rel=1e-10
        )


def test_sound_path_breaks_nothing_and_a_poor_one_is_named() -> None:
    mixture = small()
    reference = path(mixture, tol=logreg.REFERENCE_TOL)
    rival = logreg.scikit_learn(mixture, tol=1e-6, max_iter=1000)
    facts, breaks = logreg._quality(mixture, path(mixture, tol=1e-5), reference, rival, rival)
    assert breaks == ()
    assert 1.0 <= facts["objective"] <= logreg.OBJECTIVE and facts["agreement"] >= logreg.AGREEMENT
    poor = [replace(model, weights=0.9 * model.weights) for model in reference]
    _, breaks = logreg._quality(mixture, poor, reference, rival, rival)
    assert len(breaks) == 10 and "objective" in breaks[0]


def test_reference_above_the_optimum_is_found_out_by_scikit_learn() -> None:
    mixture = small()
    found = path(mixture, tol=1e-5)
    rival = logreg.scikit_learn(mixture, tol=1e-8, max_iter=10_000)
    wrong = [replace(model, objective=1.1 * model.objective, gap=1e-9 * model.objective) for model in found]
    _, breaks = logreg._quality(mixture, found, wrong, rival, rival)
    assert any("below the reference's certified bound" in reason for reason in breaks)
