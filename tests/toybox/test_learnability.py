"""With all dials at 0 the kinds are learnt from shapes, and from nothing cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


# ── A small residual network ─────────────────────────────────────────────────────────────────────


def residual_network(n_classes: int) -> Any:
    """Return a ResNet of five blocks, 24 to 96 channels: small enough for one core."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inside: int, out: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(inside, out, 3, stride, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.Conv2d(out, out, 3, 1, 1, bias=False),
                nn.BatchNorm2d(out),
            )
            self.skip = (
                nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inside, out, 1, bias=False), nn.BatchNorm2d(out))
                if inside != out
                else nn.Identity()
            )

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.body(x) + self.skip(x))

    stem = [nn.Conv2d(3, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU()]
    blocks = [Block(24, 32, 2), Block(32, 64, 2), Block(64, 64, 1), Block(64, 96, 2), Block(96, 96, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, n_classes))


def train(here: World, *, per_kind: int, epochs: int, size_px: int, seed: int = 0) -> float:
    """Train on unbiased images of a world and return top-1 on its validation set (50 images of each kind)."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n_classes = len(here.kinds)
    teaching = sets.examples(here, "learnability", per_kind * n_classes)
    images, labels = torch.from_numpy(teaching.pixels(size_px=size_px)), torch.from_numpy(teaching.label)

    def batch(pixels: Any) -> Any:
        return pixels.permute(0, 3, 1, 2).float().sub(128).div(64).contiguous()

    model, size = residual_network(n_classes), 64
    steps = epochs * (len(images) // size)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(images)))
        for start in range(0, len(images) - size + 1, size):
            rows = order[start : start + size]
            x = batch(images[rows])
            x = x.flip(3) if rng.random() < 0.5 else x
            down, right = rng.integers(0, 7, 2)
            x = torch.nn.functional.pad(x, (3, 3, 3, 3))[:, :, down : down + size_px, right : right + size_px]
            loss = torch.nn.functional.cross_entropy(model(x), labels[rows], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    val = sets.val(here, 50 * n_classes)
    pixels = torch.from_numpy(val.pixels(size_px=size_px))
    with torch.inference_mode():
        answers = torch.cat([model(batch(pixels[i : i + 250])).argmax(1) for i in range(0, len(pixels), 250)])
    return float((answers.numpy() == val.label).mean())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_small_network_learns_the_kinds() -> None:
    found = train(FULL, per_kind=1000, epochs=6, size_px=48)
    print(f"toybox/val of a small ResNet, 1,000 images of 48 px of each of 40 kinds: {found:.3f}")  # noqa: T201  # is recorded
    assert found >= 0.90
