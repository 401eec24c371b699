"""Intervals against published figures and their own definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.stats import permutation_control_holds, wilson


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
    assert permutation_control_holds(0.9, permuted, 0.1)
    assert not permutation_control_holds(0.115, permuted, 0.1)  # not above every permutation
    assert not permutation_control_holds(0.9, [p + 0.05 for p in permuted], 0.1)  # labels leak
