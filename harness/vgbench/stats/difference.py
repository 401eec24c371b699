"""Two results on the same items, and one result over several training runs: the hierarchical bootstrap."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vgbench.stats.proportions import LEVEL, POWER, detectable, mcnemar_exact, newcombe, wilson
from vgbench.types import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Runs = NDArray[np.float64]  # (K, N): one row for each training run, one column for each item

RESAMPLES = 9_999  # (B + 1)·α is whole for 5 % and 1 % (Davison & Hinkley 1997, §4.2.2)
PER_HUNDRED = 10_000  # resamples for each hundred comparisons: Holm's first step must be reachable
CHUNK = 4_000_000  # counts held at a time: 32 MB
DIGITS = 6  # an interval's ends are rounded: no platform's last bit enters a row

Scope: TypeAlias = Literal["networks", "sources"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A − B on the same items. ``scope`` says what it speaks about: these networks, or the sources behind them.

    ``p`` is two-sided; ``detectable`` the smallest true difference that would be found with power 0.8; ``method`` the
    test's name.
    """

    value: float
    ci: Interval
    p: float
    detectable: float
    scope: Scope
    method: str
    n: int


def interval(runs: Runs, *, level: float = LEVEL, resamples: int = RESAMPLES) -> Interval:
    """Return the interval of a row's value over ``runs`` (K, N), K ≥ 2: over training runs and items like these.

    Runs that are right and wrong on the same items (a deterministic probe) give Wilson's interval.
    """
    if len(runs) < 2 or not runs.shape[1]:
        raise ValueError("a hierarchical interval needs at least two training runs, and items")
    if _same_and_binary(runs):
        found = wilson(int(runs[0].sum()), runs.shape[1], level=level)
        assert found is not None
        return found
    value = float(runs.mean())
    fraction = runs.min() >= 0 and runs.max() <= 1
    lo, hi = _ends(value, _noise([runs], runs.mean(0), resamples), level)
    return Interval(max(lo, 0.0) if fraction else lo, min(hi, 1.0) if fraction else hi, level, "hierarchical bootstrap")


def difference(a: Runs, b: Runs, *, level: float = LEVEL, resamples: int = RESAMPLES) -> Difference:
    """Compare two results: ``a`` (K, N) and ``b`` (L, N), training runs × the same N items in the same order.

    At least two runs each: the hierarchical bootstrap, about the sources. Otherwise items alone are resampled, in
    pairs, about these networks. Where nothing varies over runs (one each, or a deterministic probe) and each item is
    right or wrong: McNemar's exact test and Newcombe's interval. Raises ``ValueError`` unless both have the same
    N > 0 items.
    """
    import numpy as np

    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not a.size or not b.size:
        raise ValueError(f"results of shapes {a.shape} and {b.shape} are not on the same items")
    n = int(a.shape[1])
    scope: Scope = "sources" if min(len(a), len(b)) >= 2 else "networks"
    if _same_and_binary(a) and _same_and_binary(b):
        both = int((a[0] * b[0]).sum())
        only_a, only_b = int(a[0].sum()) - both, int(b[0].sum()) - both
        ci = newcombe(both, only_a, only_b, n - both - only_a - only_b, level=level)
        least = detectable(n, (only_a + only_b) / n, alpha=1 - level)
        p = mcnemar_exact(only_a, only_b)
        return Difference((only_a - only_b) / n, ci, p, least, scope, "McNemar exact", n)
    if _content(a) > _content(b):  # one order only, so that B − A is exactly the mirror image of A − B
        found = difference(b, a, level=level, resamples=resamples)
        ci = Interval(-found.ci.hi, -found.ci.lo, level, found.ci.method)
        return Difference(-found.value, ci, found.p, found.detectable, found.scope, found.method, n)
    paired = a.mean(0) - b.mean(0)
    value = float(paired.mean())
    fraction = min(a.min(), b.min()) >= 0 and max(a.max(), b.max()) <= 1
    noise = _noise([a, b] if scope == "sources" else [], paired, resamples)
    beyond = min(int((value + noise <= 0).sum()), int((value + noise >= 0).sum()))
    size = np.abs(noise)
    least = float(np.quantile(size, level) + np.quantile(size, 2 * POWER - 1))  # two-sided α, one-sided power
    if fraction:  # results that hardly disagree: a difference there is brings its own disagreement
        least = max(least, detectable(n, 0.0, alpha=1 - level))
    method = "hierarchical bootstrap" if scope == "sources" else "paired bootstrap"
    return Difference(
        value,
        Interval(*_ends(value, noise, level), level, method),
        min(1.0, 2 * (1 + beyond) / (resamples + 1)),
        round(least, DIGITS),
        scope,
        method,
        n,
    )


def mean_interval(found: Sequence[Difference]) -> Interval:
    """Return the interval of the mean of differences on independent items: of D data sets, these and no others.

    The distances from each value to its own interval's ends are squared and added (MOVER: G. Y. Zou & A. Donner,
    Statistics in Medicine 27 (2008) 1693–1702), as ``newcombe`` does for two proportions. No normality is assumed of
    any one of them, and a set in which two results never disagree keeps a width. Raises ``ValueError`` without any.
    """
    if not found:
        raise ValueError("no differences")
    value, level = fmean(one.value for one in found), found[0].ci.level
    down = sqrt(sum((one.value - one.ci.lo) ** 2 for one in found)) / len(found)
    up = sqrt(sum((one.ci.hi - one.value) ** 2 for one in found)) / len(found)
    methods = sorted({one.ci.method for one in found})
    return Interval(round(value - down, DIGITS), round(value + up, DIGITS), level, f"MOVER of {', '.join(methods)}")


def resamples_for(comparisons: int) -> int:
    """Return how many resamples let the smallest of that many p-values pass Holm's first step at 5 %."""
    return PER_HUNDRED * max(1, -(-comparisons // 100)) - 1


def _noise(groups: list[Runs], items: NDArray[np.float64], resamples: int) -> Any:
    """Draw ``resamples`` errors of the mean of ``items`` (N,): what other items and other training runs would change.

    Items are resampled with replacement; training runs, of which there are few, are drawn from Student's t with
    Welch's degrees of freedom (resampling K = 2 or 3 runs covers far too little: docs/statistics.md has the figures).
    The spread over runs already holds each run's scatter on these items, so the resampled deviations are shrunk by
    what of theirs is that scatter (Davison & Hinkley 1997, §3.8).
    """
    import numpy as np

    n = len(items)
    random = _random(*groups, items)
    values, counts = np.unique(items.round(12), return_counts=True)  # resampling n items = drawing n of their values
    chunk = max(1, CHUNK // len(values))
    means = [
        random.multinomial(n, counts / n, size=min(chunk, resamples - start)) @ values / n
        for start in range(0, resamples, chunk)
    ]
    noise = np.concatenate(means) - items.mean()
    if not groups or n < 2:
        return noise
    scatter, spreads = 0.0, []
    for runs in groups:
        k = len(runs)
        own = runs - runs.mean(0) - runs.mean(1, keepdims=True) + runs.mean()
        scatter += float((own**2).sum()) / ((k - 1) * (n - 1)) / k
        spreads.append((float(runs.mean(1).var(ddof=1)) / k, k - 1))
    of_items = float(items.var(ddof=1))
    if of_items > 0:
        noise *= sqrt(max(0.0, 1 - scatter / of_items))
    spread = sum(s for s, _ in spreads)
    if spread > 0:
        freedom = spread**2 / sum(s**2 / df for s, df in spreads)
        noise += sqrt(spread) * random.standard_t(freedom, size=resamples)
    return noise


def _ends(value: float, noise: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Return the percentile interval: the mean is unbiased and linear, so BCa's corrections have nothing to correct."""
    import numpy as np

    lo, hi = np.quantile(noise, [(1 - level) / 2, (1 + level) / 2])
    return round(value + float(lo), DIGITS), round(value + float(hi), DIGITS)


def _random(*arrays: NDArray[np.float64]) -> np.random.RandomState:
    """Seed from content. ``RandomState``'s streams are frozen for ever (NEP 19); those of ``default_rng`` are not."""
    import numpy as np

    digest = hashlib.sha256(b"".join(_content(array) for array in arrays)).digest()
    return np.random.RandomState(np.frombuffer(digest, "<u4"))


def _same_and_binary(runs: Runs) -> bool:
    """Say whether all runs have the same values, each 0 or 1."""
    import numpy as np

    return bool((runs == runs[0]).all() and np.isin(runs[0], (0, 1)).all())


def _content(array: NDArray[np.float64]) -> bytes:
    return hashlib.sha256(repr(array.shape).encode() + array.astype("<f8").tobytes()).digest()
