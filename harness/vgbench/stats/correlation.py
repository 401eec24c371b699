"""Rank correlation within data sets, averaged over them, with a bootstrap over what the rows are clustered by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgbench.stats.difference import DIGITS, RESAMPLES
from vgbench.stats.proportions import LEVEL
from vgbench.types import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CHUNK = 500  # resamples at a time: 500 × 200 rows of float64 are 0.8 MB


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """The mean of Spearman's ρ over D sets: NaN where a set's ρ is not defined; ``undefined`` resamples had none."""

    value: float
    by_set: tuple[float, ...]
    ci: Interval | None
    undefined: int


def ranks(x: NDArray[Any]) -> Floats:
    """Return the ranks 1..N of (N,) values, ties sharing their mean."""
    import numpy as np

    _, at, n = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(n) - (n - 1) / 2)[at], np.float64)


def spearman(x: Floats, y: Floats) -> float:
    """Return Spearman's ρ of (N,) values; NaN when either does not vary, or for fewer than 3."""
    import numpy as np

    a, b = ranks(x), ranks(y)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def mean_spearman(
    x: Floats, y: Floats, clusters: Sequence[Hashable], *, level: float = LEVEL, resamples: int = RESAMPLES
) -> RankCorrelation:
    """Correlate ``x`` with ``y``, each (R, D), over the R rows within each of D sets; return the mean over the sets.

    The interval is the percentile interval of a bootstrap over ``clusters`` (R names): a cluster's rows are drawn
    together, and with all sets. It is None with fewer than two clusters. Drawing a row w times is giving it the weight
    w, and weighted mid-ranks are whole halves, so that sums of them are exact on every platform. A resample in which
    a set's ρ is not defined is left out and counted.
    """
    import numpy as np

    by_set = tuple(spearman(x[:, d], y[:, d]) for d in range(x.shape[1]))
    value = float(np.mean(by_set))
    names = sorted(set(clusters), key=repr)
    if len(names) < 2 or np.isnan(value):
        return RankCorrelation(value, by_set, None, 0)
    member = np.array([names.index(cluster) for cluster in clusters])
    random = np.random.RandomState(0)  # its streams are frozen for ever (NEP 19)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    below = [(_below(x[:, d]), _below(y[:, d])) for d in range(x.shape[1])]
    means = np.concatenate(
        [
            np.mean([_weighted(w, *pair) for pair in below], axis=0)
            for w in np.split(drawn[:, member].astype(np.float64), range(CHUNK, resamples, CHUNK))
        ]
    )
    known = means[np.isfinite(means)]
    if not len(known):
        return RankCorrelation(value, by_set, None, resamples)
    lo, hi = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    ci = Interval(round(float(lo), DIGITS), round(float(hi), DIGITS), level, "cluster bootstrap")
    return RankCorrelation(value, by_set, ci, resamples - len(known))


def _below(x: Floats) -> Any:
    """Return (N, N): 1 where the row's value is above the column's, ½ where they are equal."""
    return (x[:, None] > x[None, :]) + (x[:, None] == x[None, :]) / 2


def _weighted(w: Any, below_x: Any, below_y: Any) -> Any:
    """Return Spearman's ρ (B,) of values with weights ``w`` (B, N), NaN where it is not defined."""
    import numpy as np

    n = w.sum(1)
    a, b = w @ below_x.T - n[:, None] / 2, w @ below_y.T - n[:, None] / 2  # mid-ranks less their mean
    across = (w * a * b).sum(1)
    size = (w * a * a).sum(1) * (w * b * b).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, across / np.sqrt(size), np.nan)
