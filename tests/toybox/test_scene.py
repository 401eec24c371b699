"""Scenes: the same pixels for the same seed, whatever is drawn beside them; one factor changes one thing."""

from __future__ import annotations

import ast
import hashlib
import inspect
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vgbench.toybox import atlas, kinds, palette, scene, scenery, textures
from vgbench.toybox.scene import SIZES, Factors, Style, draw
from vgbench.toybox.world import sample, seeds, world

N = 96
STILL = Style(pose_range=0.0, occlusion=0.0, noise=0.0)

# SHA-256 of the pixels of ``every_value()``. A change here changes every scene: raise the version of the step
# ``vgbench.draw_scenes`` with it, and the worlds' test sets are others too.
GOLDEN = {
    64: "6f05cd8ca8fc19dcae9a713dd64afd23aad53a83ec52d8de8ee8fc59086c5377",
    48: "ee49d0dc829bb93351cd14849fabdd5455e1b8f64d17bdaf8ef5c004e35b82ed",
    32: "e6484a2d63b717aa482fba1b8e4eaa8822151ea8c64f28ee41f3b27a049608e3",
}
GOLDEN_STRONG = "f495650c627f796451703eeaa24ac919e68edcf2ad69473566382023b38061aa"


def sha256(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def every_value(n: int = N) -> tuple[NDArray[np.uint64], Factors]:
    """Return seeds and factors in which every kind, texture, colour, background and context occurs."""
    i = np.arange(n)
    given = (i.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return given, Factors(**{name: (i + i // size) % size for name, size in SIZES.items()})


@pytest.mark.parametrize("size_px", scene.SIZES_PX)
def test_pixels_are_those_on_record(size_px: int) -> None:
    given, factors = every_value()
    assert all(len(set(getattr(factors, name).tolist())) == size for name, size in SIZES.items())
    assert sha256(draw(given, factors, size_px=size_px)) == GOLDEN[size_px]


def test_pixels_of_strong_dials_are_those_on_record() -> None:
    given, factors = every_value()
    style = Style(pose_range=2.0, occlusion=2.0, noise=2.0)
    assert sha256(draw(given, factors, size_px=32, style=style)) == GOLDEN_STRONG


def test_images_are_rgb_of_the_size_asked_for() -> None:
    given, factors = every_value(5)
    for size_px in scene.SIZES_PX:
        pixels = draw(given, factors, size_px=size_px)
        assert pixels.shape == (5, size_px, size_px, 3) and pixels.dtype == np.uint8
    assert draw(given[:0], factors[:0]).shape == (0, 64, 64, 3)


def test_an_image_does_not_depend_on_its_batch() -> None:
    n = scene._CHUNK + 3  # more than a chunk, the last ragged
    given, factors = every_value(n)
    together = draw(given, factors, size_px=32)
    order = np.random.default_rng(0).permutation(n)
    assert np.array_equal(draw(given[order], factors[order], size_px=32), together[order])
    for i in (0, 1, 200, n - 1):
        assert np.array_equal(draw(given[i : i + 1], factors[i : i + 1], size_px=32)[0], together[i])


def test_every_seed_gives_another_image() -> None:
    _, factors = every_value(1)
    many = factors[np.zeros(400, np.intp)]
    pixels = draw(np.arange(400, dtype=np.uint64), many, size_px=32)
    assert len(np.unique(pixels.reshape(400, -1), axis=0)) == 400


@pytest.mark.parametrize("size_px", scene.SIZES_PX)
def test_a_smaller_image_shows_the_same_scene(size_px: int) -> None:
    here, given = world("full"), seeds("full", "val", 60)
    factors = sample(here, given, np.arange(60) % 40)
    large, small = (draw(given, factors, size_px=px, style=Style(noise=0.0)) for px in (64, size_px))
    coarse = [
        image.reshape(60, 16, px // 16, 16, px // 16, 3).mean(axis=(2, 4))
        for image, px in ((large, 64), (small, size_px))
    ]
    assert np.abs(coarse[0] - coarse[1]).mean() < 6


# ── One factor changes one thing ─────────────────────────────────────────────────────────────────


def test_the_random_stream_knows_neither_factors_nor_style() -> None:
    tree = ast.parse(Path(str(scene.__file__)).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "words"]
    assert [ast.unparse(call) for call in calls] == ["words(seeds, n_words(size_px))"]
    assert list(inspect.signature(scene._draws).parameters) == ["seeds", "size_px"]
    assert list(inspect.signature(scene.n_words).parameters) == ["size_px"]


def both(factor: str, first: int, second: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw images with two values of one factor; return them and where the object (with its bar) is."""
    given, factors = every_value(200)
    factors = factors.but(kind=np.arange(200) % 40, weather=np.zeros(200, np.int64))
    one, other = (draw(given, factors.but(**{factor: np.full(200, value)})) for value in (first, second))
    without = draw(given, factors.but(**{factor: np.full(200, first)}), with_object=False)
    # A pixel of the object may happen to have the ground's colour in one of the two, hardly in both.
    return one, other, np.asarray(((one != without) | (other != without)).any(axis=-1))


@pytest.mark.parametrize(("factor", "second"), [("texture", 3), ("colour", 5)])
def test_what_is_the_objects_changes_nothing_around_it(factor: str, second: int) -> None:
    one, other, is_object = both(factor, 0, second)
    differs = (one != other).any(axis=-1)
    assert differs.any(axis=(1, 2)).mean() > 0.95
    assert not (differs & ~is_object).any()


def test_background_changes_nothing_inside_the_object() -> None:
    given, factors = every_value(200)
    factors = factors.but(kind=np.arange(200) % 40, weather=np.zeros(200, np.int64))
    first, second = (draw(given, factors.but(background=np.full(200, b))) for b in (1, 4))
    white = draw(given, factors.but(background=np.full(200, 0)), with_object=False)
    drawn = draw(given, factors.but(background=np.full(200, 0)))
    inside = np.zeros((200, 64, 64), np.bool_)
    is_object = (drawn != white).any(axis=-1)
    # An object's edge lets the background through: only pixels whose neighbours are the object's too are asked.
    inside[:, 1:-1, 1:-1] = is_object[:, 1:-1, 1:-1] & is_object[:, :-2, 1:-1] & is_object[:, 2:, 1:-1]
    inside[:, 1:-1, 1:-1] &= is_object[:, 1:-1, :-2] & is_object[:, 1:-1, 2:]
    differs = (first != second).any(axis=-1)
    assert (differs & inside).sum() < 0.03 * inside.sum()
    assert (differs & ~is_object).any(axis=(1, 2)).mean() > 0.95


def test_place_changes_the_lower_edge_only() -> None:
    one, other, _ = both("location", 0, 3)
    differs = (one != other).any(axis=(0, 2, 3))
    assert not differs[: 64 - 20].any() and differs[-1]


@pytest.mark.parametrize("factor", ["time", "weather"])
def test_each_value_of_the_context_is_seen(factor: str) -> None:
    given, factors = every_value(100)
    images = [draw(given, factors.but(**{factor: np.full(100, value)})) for value in range(4)]
    for i in range(4):
        for j in range(i):
            assert (np.abs(images[i].astype(int) - images[j]).mean(axis=(1, 2, 3)) > 1).mean() > 0.9


def test_objects_are_told_by_the_kind_alone() -> None:
    given, factors = every_value(100)
    here, there = (draw(given, factors.but(kind=np.full(100, kind))) for kind in (0, 1))
    assert (here != there).any(axis=(1, 2, 3)).all()
    ground = [draw(given, factors.but(kind=np.full(100, kind)), with_object=False) for kind in (0, 1)]
    assert np.array_equal(ground[0], ground[1])


# ── Style ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dial", ["pose_range", "occlusion", "noise"])
@pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf")])
def test_styles_out_of_range_are_refused(dial: str, value: float) -> None:
    with pytest.raises(ValueError, match=dial):
        Style(**{dial: value})


@pytest.mark.parametrize("dial", ["pose_range", "occlusion", "noise"])
def test_each_style_dial_alone_varies_the_images(dial: str) -> None:
    given, factors = every_value()
    factors = factors.but(kind=np.arange(N) % 40)
    still, moved = draw(given, factors, style=STILL), draw(given, factors, style=Style(**{**vars_of(STILL), dial: 1.0}))
    assert (still != moved).any(axis=(1, 2, 3)).mean() > 0.1


def test_occlusion_is_the_share_of_images_with_a_bar() -> None:
    given, factors = every_value(1200)
    factors = factors.but(kind=np.arange(1200) % 40)
    none, usual = (draw(given, factors, size_px=32, style=Style(occlusion=value)) for value in (0.0, 1.0))
    assert (none != usual).any(axis=(1, 2, 3)).mean() == pytest.approx(0.25, abs=0.05)  # four standard errors


def test_other_sizes_lengths_and_values_are_refused() -> None:
    given, factors = every_value(4)
    with pytest.raises(ValueError, match="size_px=50"):
        draw(given, factors, size_px=50)
    with pytest.raises(ValueError, match="3 seeds for 4 images"):
        draw(given[:3], factors)
    with pytest.raises(TypeError, match="not uint64"):
        draw(given.astype(np.int64), factors)
    with pytest.raises(ValueError, match="background"):
        factors.but(background=np.full(4, len(scenery.BACKGROUNDS)))
    with pytest.raises(ValueError, match="texture"):
        factors.but(texture=np.zeros(3, np.int64))


# ── What there is ────────────────────────────────────────────────────────────────────────────────


def test_there_are_as_many_as_the_world_promises() -> None:
    assert kinds.N_TRAINING == 40 and kinds.N_COARSE == 16
    assert len(kinds.NAMES) - kinds.N_TRAINING - 1 >= 16
    assert textures.N_COARSE == 16 and textures.N_TRAINING == 24 and len(textures.NOVEL) >= 8
    assert len(scenery.BACKGROUNDS) == 9 and len(palette.NAMES) == 10


@pytest.mark.parametrize("kind", range(len(kinds.NAMES) - 1), ids=kinds.NAMES[:-1])
def test_a_kind_fills_its_box_and_stays_inside(kind: int) -> None:
    inside = atlas.distance_map(kind)[..., 0] < 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    half = atlas.GRID / (2 * atlas.REACH)  # cells in half an object's size
    assert max(np.ptp(rows), np.ptp(columns)) > 1.7 * half
    assert min(rows[0], columns[0]) > atlas.GRID / 2 - 1.12 * half
    assert max(rows[-1], columns[-1]) < atlas.GRID / 2 + 1.12 * half
    assert inside.mean() > 0.04


def test_silhouettes_are_all_different() -> None:
    shapes = np.stack([atlas.distance_map(kind)[..., 0] < 0 for kind in range(kinds.N_TRAINING)]).reshape(40, -1)
    for i in range(40):
        for j in range(i):
            overlap = (shapes[i] & shapes[j]).sum() / (shapes[i] | shapes[j]).sum()
            assert overlap < 0.9, (kinds.NAMES[i], kinds.NAMES[j])


def test_textures_are_told_apart_by_their_local_structure() -> None:
    """How often a pattern agrees with its shifted self, at 48 px, beyond what its share of the second tone explains."""
    tiles = np.tile(textures.tiles(48), (1, 2, 2))[:, ::5, ::5] > 127
    lags = [(dy, dx) for dy in range(9) for dx in range(-8, 9) if (dy, dx) > (0, 0)]
    signature = np.array(
        [[(t == np.roll(t, lag, (0, 1))).mean() - t.mean() ** 2 - (1 - t.mean()) ** 2 for lag in lags] for t in tiles]
    )
    for i in range(len(signature)):
        for j in range(i):
            assert np.abs(signature[i] - signature[j]).max() > 0.05, (textures.NAMES[i], textures.NAMES[j])


@pytest.mark.slow
def test_scenes_are_drawn_fast_enough() -> None:
    given, factors = every_value(500)
    draw(given, factors)  # maps are made once
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        draw(given, factors)
        best = max(best, 500 / (time.perf_counter() - start))
    assert best >= 500  # images/s at 64 px on one core


def vars_of(style: Style) -> dict[str, float]:
    return {dial: getattr(style, dial) for dial in ("pose_range", "occlusion", "noise")}
