"""``vgbench bench logreg``: our path over ten C against scikit-learn's, at an objective within 1e-4 of the optimum.

Ours includes the eigenbasis. scikit-learn's default (tol 1e-4, 100 iterations) runs on float32, where it is fastest,
and stops short of the optimum at weak regularisation; tol 1e-6 on float64 is nearest to equal quality.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from vgbench.bench.mixture import Mixture
from vgbench.bench.speed import Measured, load, versions
from vgbench.logreg import Basis, Fit, fit_path

N_ROWS, N_CLASSES = 5000, 100
CS = tuple(float(c) for c in np.logspace(-2, 5, 10))
SIZES = (512, 2048)
ROUNDS = 5
GOAL, GOAL_TIGHT = 3.0, 8.0  # the issue's
OBJECTIVE, AGREEMENT = 1.0 + 1e-4, 0.995  # against the reference, at every C (the issue's)
REFERENCE_TOL = 1e-7


@dataclass(slots=True)
class Clock:
    """What one contender took, round by round: wall and CPU seconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def time(self, call: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        made = call()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return made


def ours(mixture: Mixture) -> tuple[Fit, ...]:
    """Fit the path as probes do, from the features on."""
    return fit_path(Basis.of(mixture.x), mixture.labels, n_classes=N_CLASSES, cs=CS)


def hopeless(clock: Clock, other: Clock) -> bool:
    """Say whether the first round took twice the other's: on shared cores, threads that wait may take minutes."""
    return clock.wall[0] > 2.0 * other.wall[0]


def scikit_learn(mixture: Mixture, **settings: Any) -> list[LogisticRegression]:
    """Fit each C from zero: with ``warm_start`` scikit-learn takes no step at all (performance.md §1)."""
    return [LogisticRegression(C=c, **settings).fit(mixture.x, mixture.labels) for c in CS]


def tight(mixture: Mixture) -> list[LogisticRegression]:
    """Fit each C in float64 until the gradient is below 1e-6."""
    double = Mixture(mixture.x.astype(np.float64), mixture.labels, mixture.unseen)
    return scikit_learn(double, tol=1e-6, max_iter=10_000)


def measure(rounds: str = str(ROUNDS), sizes: str = ",".join(map(str, SIZES))) -> list[Measured]:
    """Compare for each number of features in ``sizes``, "512,2048"; the tight anchor runs once (minutes at 2,048)."""
    warnings.simplefilter("ignore")  # scikit-learn's own: that it did not converge
    return [found for d in sizes.split(",") for found in _measure(int(d), int(rounds))]


def _measure(n_features: int, rounds: int) -> list[Measured]:
    began = load()
    mixture = Mixture.drawn(N_ROWS, n_features, n_classes=N_CLASSES)
    clocks = {(who, n): Clock() for who in ("ours", "scikit-learn") for n in (1, 2)}
    fits: tuple[Fit, ...] = ()
    default: list[LogisticRegression] = []
    for turn in range(rounds):
        for who, n_threads in list(clocks) if turn % 2 == 0 else reversed(list(clocks)):
            if turn and hopeless(clocks[who, n_threads], clocks[who, 3 - n_threads]):
                continue
            with threadpool_limits(n_threads):
                if who == "ours":
                    fits = clocks[who, n_threads].time(lambda: ours(mixture))
                else:
                    default = clocks[who, n_threads].time(lambda: scikit_learn(mixture))
    slow = Clock()
    with threadpool_limits(1):
        models = slow.time(lambda: tight(mixture))
        reference = fit_path(Basis.of(mixture.x), mixture.labels, n_classes=N_CLASSES, cs=CS, tol=REFERENCE_TOL)
    facts, breaks = _quality(mixture, fits, reference, default, models)
    walls = {key: median(clock.wall) for key, clock in clocks.items()}
    best = {who: 1 if walls[who, 1] <= walls[who, 2] else 2 for who, _ in clocks}
    seconds = {f"{who}, {n} thread{'s' * (n > 1)}": walls[who, n] for who, n in clocks}
    seconds |= {f"{who}, {n}, CPU": median(clock.cpu) for (who, n), clock in clocks.items()}
    facts |= {f"rounds of {who}, {n}": len(clock.wall) for (who, n), clock in clocks.items()}
    known = versions("numpy", "scipy", "scikit-learn")
    return [
        Measured(
            f"logreg/default/{n_features}",
            walls["scikit-learn", best["scikit-learn"]] / walls["ours", best["ours"]],
            GOAL,
            is_limit=False,
            n=rounds,
            medians=seconds,
            threads=best,
            load=began,
            breaks=breaks,
            versions=known,
            facts=facts,
        ),
        Measured(
            f"logreg/tight/{n_features}",
            slow.wall[0] / walls["ours", 1],
            GOAL_TIGHT,
            is_limit=False,
            n=1,  # round of the anchor; ours is the median above
            medians={"ours": walls["ours", 1], "scikit-learn": slow.wall[0], "scikit-learn, CPU": slow.cpu[0]},
            threads={"ours": 1, "scikit-learn": 1},
            load=began,
            versions=known,
        ),
    ]


def _quality(
    mixture: Mixture,
    fits: Sequence[Fit],
    reference: Sequence[Fit],
    default: Sequence[LogisticRegression],
    models: Sequence[LogisticRegression],
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the worst figures over all C, and what breaks."""
    breaks = []
    over, agreement, gaps = [], [], []
    for c, fit, best in zip(CS, fits, reference, strict=True):
        over.append(objective(mixture, fit.weights, fit.bias, c) / best.objective)
        agreement.append(float((fit.predict(mixture.unseen) == best.predict(mixture.unseen)).mean()))
        gaps.append(fit.gap / fit.objective)
        if over[-1] > OBJECTIVE or agreement[-1] < AGREEMENT or not fit.converged:
            breaks.append(f"C = {c:.3g}: objective {over[-1]:.6f} of the reference's, agreement {agreement[-1]:.4f}")
        if best.gap > 2 * REFERENCE_TOL * best.objective:
            breaks.append(f"C = {c:.3g}: the reference is only known to {best.gap / best.objective:.1e}")
    shares = {}
    for who, found in (("scikit-learn", default), ("scikit-learn tight", models)):
        values = [objective(mixture, m.coef_.T, m.intercept_, c) for m, c in zip(found, CS, strict=True)]
        shares[who] = [value / best.objective for value, best in zip(values, reference, strict=True)]
    for who, ratios in shares.items():
        for c, share, best in zip(CS, ratios, reference, strict=True):
            if share < 1.0 - best.gap / best.objective - 1e-12:
                breaks.append(f"C = {c:.3g}: {who} is below the reference's certified bound")
    facts = {"objective": max(over), "agreement": min(agreement), "certified gap": max(gaps)}
    facts |= {f"{who} objective": max(ratios) for who, ratios in shares.items()}
    facts["scikit-learn tight objective, best C"] = min(shares["scikit-learn tight"])
    return facts, tuple(breaks)


def objective(mixture: Mixture, weights: NDArray[Any], bias: NDArray[Any], c: float) -> float:
    """Compute mean cross-entropy + ||W||^2 / (2 c N) in float64, apart from the solver's code."""
    w = np.asarray(weights, np.float64)
    logits = mixture.x.astype(np.float64) @ w + bias
    logits -= logits.max(axis=1, keepdims=True)
    n = len(logits)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(n), mixture.labels]
    return float(losses.mean()) + float(np.vdot(w, w)) / (2.0 * c * n)
