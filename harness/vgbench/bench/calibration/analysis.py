"""What the rows say: dose response, specificity, and agreement with the interventional truth. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgbench.bench.calibration.settings import JOINT, LEVELS, N_TEST, OTHERS, joint_setting
from vgbench.stats import spearman

Row = Mapping[str, Any]
Floats = NDArray[np.float64]
RESAMPLES = 2_000
REPORTED = "label_noise"  # of the other dials, the one that moves accuracy by design: reported, not judged
LEAST_RHO, MOST_LEAK, LEAST_TRUTH = 0.9, 1 / 3, 0.7  # the protocol's rules


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric under calibration: its dial, its truth, and whether it rises (1) or falls (−1) with bias."""

    metric: str
    dial: str
    truth: str
    sign: int = 1


INSTRUMENTS = (
    Instrument("texture_inclination", "texture_bias", "flip_texture"),
    Instrument("texture_inclination_corrected", "texture_bias", "flip_texture"),
    Instrument("texture_gap", "texture_bias", "flip_texture"),
    Instrument("background_gap", "background_bias", "flip_background"),
    Instrument("background_gap_relative", "background_bias", "flip_background"),
    Instrument("context_bias_avg", "context_bias", "flip_context", -1),
    Instrument("context_bias_12", "context_bias", "flip_context", -1),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with the 2.5 % and 97.5 % points of its bootstrap; ``n`` is what it rests on."""

    value: float
    lo: float
    hi: float
    n: int


@dataclass(frozen=True, slots=True)
class Dose:
    """A metric along its own dial: levels, means over seeds (NaN: withheld), and Spearman's ρ in the metric's sign.

    ``rho.n`` counts the levels that have a value; the rule holds on all of them only.
    """

    instrument: Instrument
    levels: tuple[float, ...]
    means: tuple[float, ...]
    rho: Estimate

    @property
    def holds(self) -> bool:
        return self.rho.n == len(self.levels) and self.rho.value >= LEAST_RHO


@dataclass(frozen=True, slots=True)
class Leak:
    """How far a metric moves under a setting that is not its dial's, and in shares of its own Δ.

    ``n`` models had a value. Other dials and placebos are judged; label noise, the number of images and the length of
    training are reported (the protocol's second question).
    """

    instrument: Instrument
    setting: str
    delta: float
    share: float
    n: int
    is_judged: bool


def values(rows: Sequence[Row], setting: str, metric: str) -> Floats:
    """Return a metric's values over the seeds of a setting (S,), withheld ones left out."""
    found = [row["metrics"][metric] for row in rows if row["setting"] == setting]
    return np.array([value for value in found if value is not None], np.float64)


def level_name(dial: str, level: float) -> str:
    """Return the name of the setting with one dial at a level."""
    return f"{dial}={level:g}" if level or dial not in LEVELS else "base"  # a placebo's 0 is no base


def mean(found: Floats) -> float:
    """Return a mean; NaN of nothing."""
    return float(found.mean()) if len(found) else float("nan")


def partial_spearman(x: Floats, y: Floats, given: Floats) -> float:
    """Return the rank correlation of x and y with what the ranks of ``given`` explain taken off both."""
    xy, xz, yz = spearman(x, y), spearman(x, given), spearman(y, given)
    rest = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / np.sqrt(rest)) if rest > 0 else float("nan")


def dose(rows: Sequence[Row], instrument: Instrument) -> Dose:
    """Correlate a metric's means with its own dial; the interval resamples seeds within levels."""
    levels = (0.0, *LEVELS[instrument.dial])
    found = [values(rows, level_name(instrument.dial, level), instrument.metric) for level in levels]
    random = np.random.RandomState(0)

    def rho(samples: Sequence[Floats]) -> float:
        means = np.array([mean(sample) for sample in samples])
        seen = np.isfinite(means)
        return instrument.sign * spearman(np.array(levels)[seen], means[seen])

    drawn = [rho([s[random.randint(0, len(s), len(s))] if len(s) else s for s in found]) for _ in range(RESAMPLES)]
    means = tuple(mean(sample) for sample in found)
    return Dose(instrument, levels, means, _estimate(rho(found), drawn, sum(np.isfinite(means))))


def leaks(rows: Sequence[Row], instrument: Instrument) -> list[Leak]:
    """Return a metric's Δ under every setting of other dials, label noise, amounts and placebos."""
    base = mean(values(rows, "base", instrument.metric))
    top = mean(values(rows, level_name(instrument.dial, LEVELS[instrument.dial][-1]), instrument.metric))
    own = abs(top - base)
    judged = {**LEVELS, **OTHERS}
    del judged[instrument.dial], judged[REPORTED]
    settings = {level_name(dial, level): True for dial, levels in judged.items() for level in levels}
    settings |= {level_name(REPORTED, level): False for level in OTHERS[REPORTED]}
    settings |= {row["setting"]: False for row in rows if row["group"] == "amount"}
    found = []
    for setting, is_judged in settings.items():
        seen = values(rows, setting, instrument.metric)
        delta = mean(seen) - base
        share = abs(delta) / own if own else float("nan")
        found.append(Leak(instrument, setting, delta, share, len(seen), is_judged))
    return found


def worst(found: Sequence[Leak]) -> Leak:
    """Return the largest leak among those that are judged."""
    judged = [leak for leak in found if leak.is_judged]
    return max((leak for leak in judged if np.isfinite(leak.share)), key=lambda leak: leak.share, default=judged[0])


def regression(rows: Sequence[Row], instrument: Instrument) -> tuple[dict[str, Estimate], int]:
    """Regress a metric on the three dials over the Latin square; return the slopes, and how many models had a value.

    The interval resamples the nine settings' models within each setting.
    """
    square = [joint_setting(i, j) for i in range(len(JOINT)) for j in range(len(JOINT))]
    cells = [
        ({dial: one.source.get(dial, 0.0) for dial in LEVELS}, values(rows, one.name, instrument.metric))
        for one in square
    ]
    cells = [(dials, seen) for dials, seen in cells if len(seen)]
    random = np.random.RandomState(0)

    def slopes(samples: Sequence[Floats]) -> Floats:
        x = np.array([[1.0, *dials.values()] for (dials, _), s in zip(cells, samples, strict=True) for _ in s])
        y = np.concatenate(list(samples))
        return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0][1:])

    if len(cells) < len(LEVELS) + 1:
        return {}, sum(len(seen) for _, seen in cells)
    best = slopes([seen for _, seen in cells])
    drawn = np.array([slopes([s[random.randint(0, len(s), len(s))] for _, s in cells]) for _ in range(RESAMPLES // 4)])
    n = sum(len(seen) for _, seen in cells)
    return {dial: _estimate(float(best[k]), drawn[:, k].tolist(), n) for k, dial in enumerate(LEVELS)}, n


def truth(rows: Sequence[Row], instrument: Instrument, *, among: Callable[[Row], bool] = lambda row: True) -> Estimate:
    """Correlate a metric with the interventional truth over all models, given accuracy; bootstrap over settings."""
    seen = [r for r in rows if among(r) and r["metrics"][instrument.metric] is not None]
    groups: dict[str, list[Row]] = {}
    for row in seen:
        groups.setdefault(row["setting"], []).append(row)
    random = np.random.RandomState(0)
    names = sorted(groups)

    def rho(chosen: Sequence[Row]) -> float:
        x, y, z = (
            np.array([row["metrics"][name] for row in chosen], np.float64)
            for name in (instrument.metric, instrument.truth, "top1")
        )
        return partial_spearman(x, y, z)

    drawn = []
    for _ in range(RESAMPLES // 4):
        drawn.append(rho([row for k in random.randint(0, len(names), len(names)) for row in groups[names[k]]]))
    return _estimate(rho(seen), drawn, len(seen))


def along(rows: Sequence[Row], instrument: Instrument) -> float:
    """Return Spearman's ρ of metric and truth over the models of the base and of the metric's own dial alone.

    Not in the protocol; added after the run to see what the partial correlation over all models hides.
    """
    names = {level_name(instrument.dial, level) for level in (0.0, *LEVELS[instrument.dial])}
    seen = [r for r in rows if r["setting"] in names and r["metrics"][instrument.metric] is not None]
    x, y = (np.array([row["metrics"][name] for row in seen]) for name in (instrument.metric, instrument.truth))
    return spearman(x, y)


def ceiling(rows: Sequence[Row], instrument: Instrument) -> float:
    """Return what a perfect metric would reach: the truth measured twice, each time on 1,000 fresh images.

    Most models have the dial at 0, where the ranks of both are sampling noise; the mean of 200 simulated repetitions.
    """
    seen = [row for row in rows if row["metrics"][instrument.metric] is not None]
    share, given = (np.array([row["metrics"][name] for row in seen]) for name in (instrument.truth, "top1"))
    random = np.random.RandomState(0)
    again = random.binomial(N_TEST, share, size=(2, 200, len(share))) / N_TEST
    return float(np.mean([partial_spearman(x, y, given) for x, y in zip(*again, strict=True)]))


def _estimate(value: float, drawn: Sequence[float], n: int) -> Estimate:
    finite = [v for v in drawn if np.isfinite(v)]
    lo, hi = np.quantile(finite, [0.025, 0.975]) if finite else (float("nan"), float("nan"))
    return Estimate(value, float(lo), float(hi), int(n))
