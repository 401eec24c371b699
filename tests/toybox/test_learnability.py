"""With all dials at 0 the kinds are learnt from shapes, and from nothing cheaper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vgbench.toybox import sets
from vgbench.toybox.sets import Examples
from vgbench.toybox.world import World, world

FULL, COARSE = world("full"), world("coarse")
Features = Callable[[Examples], NDArray[np.float64]]


def histogram(examples: Examples) -> NDArray[np.float64]:
    """Return how often each colour occurs: 16 levels of each channel, and 64 cells of the colour cube."""
    pixels = examples.pixels(size_px=32).reshape(len(examples), -1, 3).astype(int)
    cells = (pixels[..., 0] // 64) * 16 + (pixels[..., 1] // 64) * 4 + pixels[..., 2] // 64
    bins = np.concatenate([pixels[..., c] // 16 + 16 * c for c in range(3)] + [cells + 48], axis=1)
    bins += 112 * np.arange(len(bins))[:, None]
    return np.bincount(bins.reshape(-1), minlength=112 * len(bins)).reshape(-1, 112) / pixels.shape[1]


def ground(examples: Examples) -> NDArray[np.float64]:
    """Return the pixels of the scene without its object, every other row and column."""
    pixels = examples.pixels(size_px=32, with_object=False)[:, ::2, ::2]
    return pixels.reshape(len(pixels), -1) / 255


def raw(examples: Examples) -> NDArray[np.float64]:
    pixels = examples.pixels(size_px=32)
    return pixels.reshape(len(pixels), -1) / 255


def accuracy(here: World, features: Features, *, n_train: int, n_test: int, c: float) -> float:
    """Fit logistic regression on standardised features of training images and score it on others."""
    train, test = sets.examples(here, "probe-train", n_train), sets.examples(here, "probe-test", n_test)
    scaler = StandardScaler()
    fitted = LogisticRegression(C=c, max_iter=200).fit(scaler.fit_transform(features(train)), train.label)
    return float(fitted.score(scaler.transform(features(test)), test.label))


@pytest.mark.parametrize("here", [FULL, COARSE], ids=lambda w: w.name)
@pytest.mark.parametrize(("features", "c"), [(histogram, 1e-2), (ground, 1e-4)], ids=["histogram", "ground"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # there is nothing to converge to
def test_colours_and_backgrounds_say_nothing(here: World, features: Features, c: float) -> None:
    n, chance = 4000, 1 / len(here.kinds)
    found = accuracy(here, features, n_train=4000, n_test=n, c=c)
    assert abs(found - chance) < 3.3 * (chance * (1 - chance) / n) ** 0.5  # a 99.9 % interval


def test_a_linear_probe_of_pixels_does_not_suffice() -> None:
    found = accuracy(FULL, raw, n_train=4000, n_test=2000, c=1e-4)
    assert 1.2 / 40 < found <= 0.30  # something is to be seen, but not linearly
