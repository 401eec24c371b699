"""Random words are those of the published generator, and a function of seed and counter only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.toybox.random import bell, octets, uniform, words

WORD = 2**64
GAMMA = 0x9E3779B97F4A7C15


def mix(bits: int) -> int:
    """SplitMix64's mixing function in Python's integers, which cannot overflow."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) % WORD
    return bits ^ (bits >> 31)


def test_reference_agrees_with_the_published_first_output_of_seed_zero() -> None:
    assert mix(GAMMA) == 0xE220A8397B1DCDAF


@given(seed=st.integers(0, 2**63 - 1))
def test_words_are_splitmix64_of_the_mixed_seed(seed: int) -> None:
    start = mix((seed + GAMMA) % WORD)
    expected = [mix((start + (k + 1) * GAMMA) % WORD) for k in range(5)]
    assert words(np.array([seed], np.uint64), 5).tolist() == [expected]


def test_asking_for_more_words_keeps_the_first_ones() -> None:
    seeds = np.array([0, 7, 2**63 - 1], np.uint64)
    assert np.array_equal(words(seeds, 9)[:, :4], words(seeds, 4))


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint32])
def test_seeds_of_another_type_are_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match="not uint64"):
        words(np.zeros(3, dtype), 1)


def test_conversions_are_exact_at_the_ends() -> None:
    ends = np.array([[0, WORD - 1]], np.uint64)
    assert uniform(ends).tolist() == [[0.0, 1.0 - 2.0**-53]]
    assert bell(ends)[0, 0] == -bell(ends)[0, 1] == pytest.approx(-2 * 3**0.5, rel=1e-4)
    assert octets(np.array([[0x0807060504030201]], np.uint64)).tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_deviates_have_the_stated_moments() -> None:
    bits = words(np.arange(2000, dtype=np.uint64), 20)
    assert uniform(bits).mean() == pytest.approx(0.5, abs=0.01)
    assert bell(bits).mean() == pytest.approx(0.0, abs=0.02)
    assert bell(bits).std() == pytest.approx(1.0, abs=0.02)


def test_neighbouring_seeds_and_words_are_uncorrelated() -> None:
    deviates = bell(words(np.arange(4000, dtype=np.uint64), 3))
    limit = 5 / 4000**0.5  # five standard errors
    assert abs(np.corrcoef(deviates[:-1, 0], deviates[1:, 0])[0, 1]) < limit
    assert abs(np.corrcoef(deviates[:, 0], deviates[:, 1])[0, 1]) < limit
