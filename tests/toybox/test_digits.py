"""Drawn digits: the same pixels for the same seed, whatever is drawn beside them; dials do what they say."""

from __future__ import annotations

import ast
import hashlib
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vgbench.toybox import digits
from vgbench.toybox.digits import DigitStyle, draw

SEEDS = np.array([0, 1, 2, 3, 41, 2**31, 2**40 + 17, 2**62 + 1, 2**63 - 2, 2**63 - 1], np.uint64)
STILL = DigitStyle(warp=0.0, thickness=0.0, slant=0.0, noise=0.0)
DIALS = ("warp", "thickness", "slant", "noise")

# SHA-256 of the (10, 32, 32) pixels of SEEDS. A change here changes every image of the source: raise the version of
# the step ``vgbench.draw_digits`` with it.
GOLDEN = {
    0: "1724d27f2dd7838b592a0260945a4b6bf85812fb6c6fa2f99cec754dc6ee32d7",
    1: "52cf5e9f83bc1aa9ba954f626805046f2349babc1f1878994f3508e7961ec5cb",
    2: "1c3d0a640defd1f3d5188238eef133ca51ae17dbf9d2708e11a97090ec2d810b",
    3: "40e69b1e5cbf5f3805571c06c23decfa6979235c7142441df98e41f71d95671f",
    4: "ca5c42fed1a173fb012924d66179d988d22d36c4f03bcc7e952b755acc37ae53",
    5: "1f98f4f8612901c518e1c017730a3942a6ed9ef8d6c3463531ce23834ea06436",
    6: "93726015314d9ea1ff98423d0c56fbe61681fad988bc3dd7621a580f6a16bac2",
    7: "ac2fe4d0bd7588e79bf0c42f8dbbfe32a3f6e8de90462b3e0fa44c7f910c82d1",
    8: "96f60bc72f7957516508bb3bc61a21027442246525d985e342e6688d80bde5c6",
    9: "ae3a928bdefc838b229ea393980b8532117c2f54876465a1cf6024b098ae874c",
}
GOLDEN_STRONG = "d4de43b1367d5c425471490896f803912adbec218da5abf653fe4b77fb2aba15"


def sha256(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def counts(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count ink in blocks of 4 × 4, as UCI's and scikit-learn's digits do: (N, 32, 32) to (N, 64)."""
    blocks = pixels.reshape(-1, 8, 4, 8, 4)
    return np.asarray(np.count_nonzero(blocks, axis=(2, 4)), np.int64).reshape(-1, 64)


def n_distinct(pixels: NDArray[np.uint8]) -> int:
    return len(np.unique(pixels.reshape(len(pixels), -1), axis=0))


@pytest.mark.parametrize("digit", range(10))
def test_pixels_are_those_on_record(digit: int) -> None:
    assert sha256(draw(digit, SEEDS)) == GOLDEN[digit]


def test_pixels_of_strong_dials_are_those_on_record() -> None:
    style = DigitStyle(warp=2.0, thickness=2.0, slant=2.0, noise=2.0)
    assert sha256(np.stack([draw(digit, SEEDS, style=style) for digit in range(10)])) == GOLDEN_STRONG


@pytest.mark.parametrize("digit", range(10))
def test_images_are_bitmaps_in_a_box_of_full_height(digit: int) -> None:
    pixels = draw(digit, np.arange(300, dtype=np.uint64))
    assert pixels.shape == (300, 32, 32)
    assert pixels.dtype == np.uint8
    assert set(np.unique(pixels)) == {0, 255}
    rows = np.asarray(pixels.any(axis=2))
    assert np.mean(rows[:, 0] & rows[:, -1]) > 0.9  # thinning takes the outermost rows of the boldest


def test_no_seeds_give_no_images() -> None:
    assert draw(3, np.empty(0, np.uint64)).shape == (0, 32, 32)


@pytest.mark.parametrize("digit", [-1, 10, 255])
def test_other_digits_are_refused(digit: int) -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        draw(digit, SEEDS)


@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf")])
def test_dials_out_of_range_are_refused(dial: str, value: float) -> None:
    with pytest.raises(ValueError, match=dial):
        DigitStyle(**{dial: value})


@pytest.mark.parametrize("digit", [1, 8])
def test_an_image_does_not_depend_on_its_batch(digit: int) -> None:
    n = 2 * 16 * digits._BATCH + 3  # more than two inner batches, the last ragged
    seeds = np.arange(n, dtype=np.uint64) * np.uint64(977)
    together = draw(digit, seeds)
    order = np.random.default_rng(0).permutation(n)
    assert np.array_equal(draw(digit, seeds[order]), together[order])
    for i in (0, 1, 500, n - 1):
        assert np.array_equal(draw(digit, seeds[i : i + 1])[0], together[i])


@pytest.mark.parametrize("digit", range(10))
def test_every_seed_gives_another_image(digit: int) -> None:
    assert n_distinct(draw(digit, np.arange(400, dtype=np.uint64))) == 400


@pytest.mark.parametrize("digit", range(10))
def test_with_all_dials_at_zero_only_the_allographs_remain(digit: int) -> None:
    pixels = draw(digit, np.arange(400, dtype=np.uint64), style=STILL)
    assert n_distinct(pixels) == len(digits.ALLOGRAPHS[digit])


@pytest.mark.parametrize("dial", DIALS)
def test_each_dial_alone_varies_the_images(dial: str) -> None:
    seeds = np.arange(200, dtype=np.uint64)
    still = draw(3, seeds, style=STILL)
    weak, full = (draw(3, seeds, style=DigitStyle(**{**vars_of(STILL), dial: value})) for value in (0.5, 1.0))
    assert n_distinct(full) > 4 * n_distinct(still)
    assert 0 < np.count_nonzero(weak != still) < np.count_nonzero(full != still)


@pytest.mark.parametrize("dial", DIALS)
def test_a_dial_at_zero_ignores_its_draws(dial: str) -> None:
    fields = {"warp": ("tilt", "bends", "jitter"), "thickness": ("pen",), "slant": ("slant",), "noise": ("noise",)}
    draws = digits._draws(SEEDS)
    opposite = replace(draws, **{name: -getattr(draws, name) for name in fields[dial]})
    allograph, rows, silent = digits._COMPILED[5][0], np.arange(len(SEEDS)), DigitStyle(**{dial: 0.0})

    def differs(style: DigitStyle) -> bool:
        one, other = (digits._render(allograph, given, rows, style) for given in (draws, opposite))
        return not np.array_equal(one, other)

    assert not differs(silent)
    assert differs(DigitStyle())


def test_the_random_stream_knows_neither_digit_nor_style() -> None:
    tree = ast.parse(Path(digits.__file__).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "words"]
    assert [ast.unparse(call) for call in calls] == ["words(seeds, _N_WORDS)"]
    assert list(inspect.signature(digits._draws).parameters) == ["seeds"]


def test_paired_digits_share_the_pen() -> None:
    style = DigitStyle(warp=0.0, slant=0.0, noise=0.0)
    seeds = np.arange(600, dtype=np.uint64)
    pen = digits._draws(seeds).pen
    for digit in (0, 3, 8):
        n_ink = np.count_nonzero(draw(digit, seeds, style=style), axis=(1, 2))
        # NIST's thickening below 256 px breaks the order, so only pens above and below the usual are compared.
        assert n_ink[pen > 0.8].mean() > n_ink[(pen > -0.3) & (pen < 0.3)].mean()


def test_paired_digits_share_the_slant() -> None:
    # With slant alone, ordering ANY digit's images by the one slant of their seeds puts like beside like.
    style = DigitStyle(warp=0.0, thickness=0.0, noise=0.0)
    draws = digits._draws(np.arange(1000, dtype=np.uint64))
    for digit in range(10):
        rows = np.flatnonzero(digits._choose(digit, draws.allograph) == 0)
        rows = rows[np.argsort(draws.slant[rows])]
        pixels = draw(digit, rows.astype(np.uint64), style=style)
        half = len(rows) // 2
        beside = np.count_nonzero(pixels[1:] != pixels[:-1]) / (len(rows) - 1)
        apart = np.count_nonzero(pixels[half:] != pixels[: len(rows) - half]) / (len(rows) - half)
        assert beside < apart / 4


def test_drawn_digits_are_told_apart_by_their_nearest_mean() -> None:
    train = [counts(draw(digit, np.arange(0, 300, dtype=np.uint64))) for digit in range(10)]
    test = [counts(draw(digit, np.arange(300, 400, dtype=np.uint64))) for digit in range(10)]
    means = np.stack([rows.mean(axis=0) for rows in train])
    hits = [
        (((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) == digit).mean() for digit, rows in enumerate(test)
    ]
    assert np.mean(hits) > 0.8
    assert min(hits) > 0.4  # 1 is the most varied: bare, with a flag, with a foot


def vars_of(style: DigitStyle) -> dict[str, float]:
    return {dial: getattr(style, dial) for dial in DIALS}
