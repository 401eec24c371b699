"""Probes: named, versioned ways to fit a classifier on frozen features. Two probes never share a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import Part, hookimpl, stages

# Half decades around C = 1, scikit-learn's default: CLIP's own probes searched 1e-6..1e6 in scikit-learn's inverse
# (Radford et al. 2021, A.3), whose ends no set of theirs chose (the grid is ours: assumed).
CS = [10 ** (k / 2) for k in range(-8, 9)]

# The gap is ours: at 1e-4 some .6 % of predictions differed from the optimum's under the strongest penalty, at 1e-5
# .2 % (bench logreg's mixture).
TOL = 1e-5

LOGIT_SCALE = 100.0  # CLIP's learnt temperature at its cap (Radford et al. 2021, 2.5); GenBench's zero-shot has it too

# Computer-Vision-in-the-Wild/Elevater_Toolkit_IC as GenBench runs it: protocols.md §1.6.
ELEVATER: Mapping[str, Any] = {
    "reads": ["train", "text", "val"],
    "per_epoch": True,
    "metric": "accuracy",
    "lrs": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "decay_log10": [-6, 6],
    "n_decays": 97,
    "coarse_step": 16,
    "spans": [8, 4, 2, 1],
    "sweep_epochs": 10,
    "final_epochs": 50,
    "batch": 64,
    "momentum": 0.9,
    "min_per_class": 2,  # one to fit on, one to choose by
}

# naver/trex, transfer/logreg_trainer.py and its defaults: protocols.md §3.6. ``tol`` is scikit-learn's default.
TREX: Mapping[str, Any] = {
    "reads": ["train", "val"],
    "c_range": [1e-5, 1e6],
    "n_trials": 30,
    "max_iter": 2000,
    "tol": 1e-4,
    "multi_label": False,
    "min_per_class": 2,  # one to fit on, one to choose by
}


@hookimpl
def vgbench_offer_parts() -> Iterable[Part]:
    yield _probe(
        "zeroshot",
        "zeroshot:fit",
        {"reads": ["text"], "logit_scale": LOGIT_SCALE},
        "the class whose text is nearest; reads no image of the source",
    )
    yield _probe(
        "cler", "cler:fit", {}, "the class whose images' mean is nearest (GenBench's CLER); nothing is trained"
    )
    yield _probe(
        "cler+text",
        "cler:fit",
        {"reads": ["train", "text"]},
        "the class whose images' mean and text, added, are nearest; nothing is trained",
    )
    yield _probe("knn", "neighbours:fit", {"k": 10}, "share of a class among the 10 nearest images, by cosine")
    yield _probe(
        "logreg",
        "logistic:fit",
        {"c": 1.0, "tol": TOL},  # C = 1 is scikit-learn's default
        "multinomial logistic regression, L2, C = 1, certified objective gap",
    )
    yield _probe(
        "logreg-path",
        "logistic:fit_chosen",
        {"reads": ["train", "val"], "cs": CS, "tol": TOL},
        "logistic regression, L2, C chosen on validation images only, certified objective gap",
    )
    yield _probe(
        "logreg-text",
        "logistic:fit_chosen",
        {"reads": ["train", "text", "val"], "cs": CS, "tol": TOL, "logit_scale": LOGIT_SCALE},
        "logistic regression that stays near the zero-shot weights, C chosen on validation images only",
    )
    yield _probe(
        "elevater-reference",
        "elevater:fit",
        ELEVATER,
        "ELEVATER's linear probe to the letter: SGD from text, 90 trials, the best of 50 epochs ON TEST",
        needs=stages.TORCH,
    )
    yield _probe(
        "trex-sklearn",
        "trex:fit",
        {**TREX, "library": "sklearn.linear_model"},
        "t-ReX's linear probe: scikit-learn's logistic regression, C by 30 trials of Optuna's TPE",
        needs=("optuna",),
    )
    yield _probe(
        "trex-sklearnex",
        "trex:fit",
        {**TREX, "library": "sklearnex.linear_model"},
        "t-ReX's linear probe with the solver of scikit-learn-intelex",
        needs=("optuna", "sklearnex"),
    )


def _probe(name: str, entry: str, values: Mapping[str, Any], summary: str, *, needs: tuple[str, ...] = ()) -> Part:
    return Part("probe", name, "1", f"vgbench_tasks.probes.{entry}", values, summary, needs)
