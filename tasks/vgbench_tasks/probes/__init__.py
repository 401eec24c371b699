"""Probes: named, versioned ways to fit a classifier on frozen features. Two probes never share a column."""

from __future__ import annotations

from collections.abc import Iterable

from vgbench import Part, hookimpl


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    yield Part(
        "probe",
        "logreg",
        "1",
        "vgbench_tasks.probes.logistic:fit",
        # C = 1 is scikit-learn's default; the gap is our own: ten times below what moves a digit (assumed)
        {"c": 1.0, "tol": 1e-4},
        summary="multinomial logistic regression, L2, C = 1, certified objective gap",
    )
