"""Intervals and tests against published figures, their own definition, and simulated worlds of known truth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgbench.stats import (
    detectable,
    difference,
    holm,
    interval,
    is_above_all,
    is_at_chance,
    mcnemar_exact,
    newcombe,
    resamples_for,
    tie_groups,
    wilson,
)
from vgbench.stats.controls import _student

Runs = NDArray[np.float64]
RESAMPLES = 999


def test_wilson_equals_published_figures() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3 (score, no continuity correction)."""
    for successes, n, lo, hi in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson(successes, n)
        assert interval is not None
        assert (round(interval.lo, 4), round(interval.hi, 4)) == (lo, hi)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_share_and_stays_in_bounds(case: tuple[int, int]) -> None:
    successes, n = case
    interval = wilson(successes, n)
    assert interval is not None
    assert 0 <= interval.lo <= successes / n + 1e-12 and successes / n - 1e-12 <= interval.hi <= 1
    mirrored = wilson(n - successes, n)
    assert mirrored is not None and interval.lo == pytest.approx(1 - mirrored.hi)


def test_wilson_of_nothing_is_nothing() -> None:
    assert wilson(0, 0) is None
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


def test_control_holds_at_chance_and_below_the_value() -> None:
    permuted = [0.08, 0.12, 0.10, 0.09, 0.11] * 4
    assert is_at_chance(permuted, 0.1) and is_above_all(0.9, permuted)
    assert not is_above_all(0.115, permuted)
    assert not is_at_chance([p + 0.05 for p in permuted], 0.1)  # labels leak
    assert is_at_chance([0.1] * 20, 0.1)  # a constant answer has no spread


def test_control_is_judged_by_students_distribution() -> None:
    from scipy import stats

    for n in (10, 20, 50):
        assert _student(n - 1) == pytest.approx(stats.t.ppf(0.9995, n - 1), abs=0.02)
    spread = [0.08, 0.12] * 10
    edge = 3.88 * 0.0205196 / 20**0.5  # their standard deviation is 0.0205196
    assert is_at_chance([p + 0.98 * edge for p in spread], 0.1) and not is_at_chance(
        [p + 1.02 * edge for p in spread], 0.1
    )


# ── two networks ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("counts", "lo", "hi", "digits"),
    [
        ((1, 1, 7, 12), -0.507, -0.026, 3),  # Fagerland, Lydersen & Laake, Statistics in Medicine 33 (2014), table V
        ((36, 12, 2, 0), 0.0569, 0.3404, 4),  # Newcombe, Statistics in Medicine 17 (1998) 2635–2650, method 10
        ((20, 12, 2, 16), 0.0562, 0.3292, 4),  # the same
    ],
)
def test_newcombe_equals_published_figures(
    counts: tuple[int, int, int, int], lo: float, hi: float, digits: int
) -> None:
    found = newcombe(*counts)
    assert (round(found.lo, digits), round(found.hi, digits)) == (lo, hi)


def test_newcombe_keeps_a_width_when_two_networks_never_disagree() -> None:
    found = newcombe(50, 0, 0, 50)
    assert found.lo == pytest.approx(-found.hi) and 0.001 < found.hi < 0.1


def test_mcnemar_equals_published_and_hand_figures() -> None:
    assert mcnemar_exact(1, 7) == pytest.approx(18 / 256)  # 0.070 in Fagerland, Lydersen & Laake (2013, 2014)
    assert mcnemar_exact(0, 0) == 1.0 and mcnemar_exact(5, 5) == 1.0
    assert mcnemar_exact(0, 6) == pytest.approx(2 / 64)
    assert mcnemar_exact(4000, 4400) == mcnemar_exact(4400, 4000) < 2e-5  # no overflow


@pytest.mark.parametrize(("n", "discordance"), [(359, 0.1), (2000, 0.05), (359, 0.0)])
def test_detectable_difference_is_found_with_the_stated_power(n: int, discordance: float) -> None:
    least = detectable(n, discordance)
    disagree = max(discordance, least)
    random = np.random.default_rng(0)
    for size, power in ((least, 0.8), (0.5 * least, 0.4)):
        only_a, only_b = (disagree + size) / 2, (disagree - size) / 2
        counts = random.multinomial(n, [only_a, only_b, 1 - disagree], size=1500)
        found = np.mean([mcnemar_exact(int(a), int(b)) < 0.05 for a, b, _ in counts])
        if power == 0.8:  # the exact test is a little more careful than the formula's
            assert 0.7 < found < 0.85
        else:
            assert found < power


# ── several training runs ────────────────────────────────────────────────────────────────────────


def world(random: np.random.Generator, shape: tuple[int, int], by_run: float, items: NDArray[np.float64]) -> Runs:
    """Draw right or wrong from a threshold model: skill 1.5, spread by run, by item, and by run × item (0.5)."""
    skill = 1.5 + random.normal(0, by_run, (shape[0], 1)) + items + random.normal(0, 0.5, shape)
    return (skill > 0).astype(np.float64)


def coverage(covers: Callable[[np.random.Generator], bool], *, worlds: int = 500) -> tuple[float, float]:
    """Return the share of worlds that are covered, and 3.3 Monte-Carlo standard errors at 95 %."""
    random = np.random.default_rng(12345)
    return float(np.mean([covers(random) for _ in range(worlds)])), 3.3 * sqrt(0.95 * 0.05 / worlds)


@pytest.mark.parametrize(("runs", "by_run"), [(3, 0.3), (5, 0.0), (5, 0.3), (10, 0.1)])
def test_interval_of_a_row_covers_the_truth(runs: int, by_run: float) -> None:
    truth = NormalDist().cdf(1.5 / sqrt(by_run**2 + 1 + 0.25))

    def covers(random: np.random.Generator) -> bool:
        found = interval(world(random, (runs, 300), by_run, random.normal(0, 1, 300)), resamples=RESAMPLES)
        return found.lo <= truth <= found.hi

    found, error = coverage(covers)
    assert abs(found - 0.95) <= error + 0.01  # 1 % for a bootstrap of 300 items and the normal model of runs


@pytest.mark.parametrize(("runs", "by_run"), [(1, 0.0), (2, 0.3), (3, 0.1), (5, 0.3)])
def test_interval_of_a_difference_covers_nothing_between_equals(runs: int, by_run: float) -> None:
    def covers(random: np.random.Generator) -> bool:
        shared = random.normal(0, 0.8, 300)
        a, b = (world(random, (runs, 300), by_run, shared + random.normal(0, 0.6, 300)) for _ in range(2))
        found = difference(a, b, resamples=RESAMPLES)
        assert (found.scope == "sources") == (runs > 1)
        return found.ci.lo <= 0 <= found.ci.hi and (found.p >= 0.05 or runs == 1)

    found, error = coverage(covers)
    assert 0.95 - error <= found <= 0.999  # few runs err towards ties


def test_resampling_the_runs_themselves_covers_too_little() -> None:
    """Why runs are drawn from Student's t: the plain bootstrap of three runs misses the truth far too often."""
    truth = NormalDist().cdf(1.5 / sqrt(0.3**2 + 1 + 0.25))

    def covers(random: np.random.Generator) -> bool:
        drawn = world(random, (3, 300), 0.3, random.normal(0, 1, 300))
        means = [
            drawn[random.integers(0, 3, 3)][:, random.integers(0, 300, 300)].mean() for _ in range(200)
        ]  # fmt: skip
        lo, hi = np.quantile(means, [0.025, 0.975])
        return bool(lo <= truth <= hi)

    found, error = coverage(covers, worlds=200)
    assert found < 0.95 - error


def test_pairing_by_item_narrows_the_interval() -> None:
    random = np.random.default_rng(0)
    hard = random.normal(0, 1, 300)
    a, b = (world(random, (10, 300), 0.0, hard) for _ in range(2))
    paired, apart = difference(a, b), difference(a, b[:, random.permutation(300)])
    assert paired.value == pytest.approx(apart.value)
    assert paired.ci.hi - paired.ci.lo < 0.75 * (apart.ci.hi - apart.ci.lo)


def test_scatter_of_a_run_on_an_item_is_counted_once() -> None:
    """Where only scatter makes results differ, the interval is Welch's t interval of the runs' means, not √2 of it."""
    random = np.random.default_rng(4)
    easy = random.normal(0, 1, 400)
    a, b = (world(random, (12, 400), 0.0, easy) for _ in range(2))
    found = difference(a, b)
    error = sqrt(sum(float(runs.mean(1).var(ddof=1)) / 12 for runs in (a, b)))
    assert (found.ci.hi - found.ci.lo) / 2 == pytest.approx(2.08 * error, rel=0.08)  # t with about 22 degrees


def test_detectable_difference_of_results_that_hardly_disagree_is_not_nothing() -> None:
    a = np.ones((2, 300))
    b = a.copy()
    a[0, 0] = b[0, 0] = 0.0
    assert difference(a, b).detectable >= detectable(300, 0.0) > 0.02


def test_difference_is_deterministic_and_mirrored() -> None:
    random = np.random.default_rng(1)
    a, b = (world(random, (3, 200), 0.2, random.normal(0, 1, 200)) for _ in range(2))
    one, again, back = difference(a, b), difference(a.copy(), b.copy()), difference(b, a)
    assert one == again
    assert (back.value, back.ci.lo, back.ci.hi, back.p) == (-one.value, -one.ci.hi, -one.ci.lo, one.p)
    assert difference(a, a).p > 0.9 and difference(a, a).value == 0.0


def test_one_run_on_either_side_says_nothing_about_sources() -> None:
    random = np.random.default_rng(2)
    a, b = world(random, (1, 200), 0, random.normal(0, 1, 200)), world(random, (3, 200), 0, random.normal(0, 1, 200))
    assert difference(a, b).scope == difference(b, a).scope == "networks"
    assert difference(a, b).method == "paired bootstrap"
    assert difference(a, b[:1]).method == "McNemar exact"
    with pytest.raises(ValueError, match="at least two training runs"):
        interval(a)
    with pytest.raises(ValueError, match="not on the same items"):
        difference(a, b[:, 1:])


def test_runs_that_never_vary_are_one_network_with_a_width() -> None:
    right = np.tile((np.arange(100) < 90).astype(np.float64), (3, 1))
    assert interval(right) == wilson(90, 100)
    same = difference(right, right)
    assert same.scope == "sources" and same.ci.lo < 0 < same.ci.hi and same.detectable > 0.02


def test_values_that_are_no_shares_keep_their_unit() -> None:
    random = np.random.default_rng(3)
    a = random.normal(50, 5, (4, 100))
    found = interval(a)
    assert 45 < found.lo < a.mean() < found.hi < 55
    assert difference(a + 3, a).value == pytest.approx(3)


# ── many comparisons ─────────────────────────────────────────────────────────────────────────────


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []
    assert resamples_for(1) == 9_999 and 2 * 1225 / (resamples_for(1225) + 1) < 0.05


def test_row_between_two_that_differ_stands_in_both_groups() -> None:
    table = [[True, True, False], [True, True, True], [False, True, True]]
    assert tie_groups(table) == [[1], [1, 2], [2]]


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_two_rows_share_a_group_exactly_when_they_are_tied(case: tuple[int, set[tuple[int, int]]]) -> None:
    n, pairs = case
    table = [[i == j or (i, j) in pairs or (j, i) in pairs for j in range(n)] for i in range(n)]
    groups = tie_groups(table)
    for i, j in product(range(n), repeat=2):
        assert bool(set(groups[i]) & set(groups[j])) == table[i][j]


def test_importing_stats_imports_no_numpy() -> None:
    code = "import sys, vgbench.stats; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
