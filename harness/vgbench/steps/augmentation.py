"""What is done to training images before a network sees them: ours (shift, flip), and timm's, each drawn from a seed.

timm draws from the global generators of Python, NumPy and torch. Each is set anew for every sample and micro-batch, so
that a draw depends on (seed, epoch, index) or (seed, step, micro-batch) and on nothing that came before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.auto_augment import RandAugment, posterize
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import transforms_imagenet_train
from torch import Tensor
from torch.nn import functional

from vgbench.steps.predict import Preprocessing
from vgbench.steps.recipe import Recipe
from vgbench.steps.schedule import Batch, MicroBatch, derived_seed

Transform: TypeAlias = Callable[[Image.Image], Tensor]


def transform_of(recipe: Recipe) -> Transform | None:
    """Return timm's transform of one RGB or grey image to (C, P, P) uint8; None where the recipe has no resized crop.

    The order is timm's: random resized crop, flip, RandAugment, colour jitter. Random erasing comes later, on
    normalised pixels (`Augmentation`).
    """
    if recipe.crop_scale is None:
        return None
    made = transforms_imagenet_train(
        img_size=recipe.input_px,
        scale=(recipe.crop_scale[0], recipe.crop_scale[1]),
        ratio=(recipe.crop_ratio[0], recipe.crop_ratio[1]),
        hflip=0.5 if recipe.flip else 0.0,
        color_jitter=recipe.color_jitter or None,  # type: ignore[arg-type]  # None is off; its annotation lacks it
        auto_augment=recipe.auto_augment or None,
        interpolation=recipe.interpolation,
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
        use_prefetcher=True,  # uint8, not normalised: that is done on the device
    )
    for part in made.transforms:
        for op in part.ops if isinstance(part, RandAugment) else ():
            if op.aug_fn is posterize:
                op.aug_fn = posterized
    return cast(Transform, made)


def posterized(image: Image.Image, bits_to_keep: int, **_: object) -> Image.Image:
    """Posterize as timm does; to no bits at all, which RandAugment asks for at its highest magnitude, means black.

    Pillow 13 refuses it.
    """
    if not bits_to_keep:
        return Image.new(image.mode, image.size)
    return cast(Image.Image, posterize(image, bits_to_keep))  # type: ignore[no-untyped-call]  # timm leaves it untyped


def seed_all(seed: int) -> None:
    """Set the global generators that timm and torchvision draw from on the CPU."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Give Python's and NumPy's global generators back as they were; torch's is set anew before each forward pass."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def shifted(images: Tensor, batch: Batch, *, shift_px: int) -> Tensor:
    """Crop (B, C, P, P) uint8 out of its zero-padded self at each sample's corner, and flip where the batch says so."""
    if shift_px:
        n, channels, side = images.shape[:3]
        padded = functional.pad(images, (shift_px,) * 4)
        rows, columns = (
            (torch.from_numpy(corner)[:, None] + torch.arange(side)).to(images.device)
            for corner in (batch.top_px, batch.left_px)
        )
        sample = torch.arange(n, device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        images = padded[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]
    if batch.is_flipped.any():
        flipped = torch.from_numpy(batch.is_flipped).to(images.device)[:, None, None, None]
        images = torch.where(flipped, images.flip(-1), images)
    return images


class Augmentation:
    """Turn a micro-batch of uint8 pixels and labels into what the network and the loss get, on their device."""

    def __init__(self, recipe: Recipe, preprocessing: Preprocessing, *, n_classes: int, seed: int, device: str) -> None:
        self.recipe, self.preprocessing, self.seed, self.device = recipe, preprocessing, seed, device
        self.mixup = Mixup(  # type: ignore[no-untyped-call]  # timm leaves it untyped
            mixup_alpha=recipe.mixup,
            cutmix_alpha=recipe.cutmix,
            prob=recipe.mix_probability,
            switch_prob=recipe.mix_switch,
            label_smoothing=recipe.label_smoothing,
            num_classes=n_classes,
        )
        self.eraser = RandomErasing(  # type: ignore[no-untyped-call]  # timm leaves it untyped
            recipe.random_erasing, mode="pixel", device=device
        )

    def __call__(self, micro: MicroBatch, images: Tensor, labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return normalised images (M, C, P, P) float32, and labels (M,) int64 or, mixed, (M, C) float32.

        ``images`` (M, C, P, P) uint8 on the CPU, already cropped where the recipe crops each image for itself.
        """
        recipe = self.recipe
        images = images.to(self.device, non_blocking=True)
        if recipe.crop_scale is None:
            images = shifted(images, micro.samples, shift_px=recipe.shift_px)
        shown = self.preprocessing.normalised(images)
        truth = torch.from_numpy(labels).to(self.device)
        with generators_kept():
            if recipe.random_erasing:
                self.erase(shown, micro.samples)
            if recipe.mixes:
                np.random.seed(derived_seed(self.seed, f"mix/{micro.step}/{micro.number}") % 2**32)
                shown, truth = self.mixup(shown, truth)
        return shown, truth

    def erase(self, shown: Tensor, samples: Batch) -> None:
        """Erase in place, each sample by its own draw: it does not depend on who shares its batch."""
        for image, draw in zip(shown, samples.draw.tolist(), strict=True):
            seed = derived_seed(draw, "erase")
            random.seed(seed)
            if shown.is_cuda:
                torch.cuda.manual_seed(seed)
            else:
                torch.default_generator.manual_seed(seed)
            self.eraser(image)
