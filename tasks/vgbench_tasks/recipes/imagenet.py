"""Recipes for photographs: lbGen's Table 5, number by number, and two cheaper ones of ours.

A multiply and an add are two operations; a training step is three forward passes. Forward passes of 224 px: ResNet-50
8.18 GFLOP, ViT-S/16 9.2 GFLOP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgbench import Part

IMAGENET = 1_281_167  # training images of ImageNet-1k
IMAGENET_100 = 126_689  # of the 100 classes of CMC's list
CONVNEXT = "ConvNeXt's code, whose recipe Table 5 is"

# lbGen (arXiv 2412.10831), Table 5, but for what ASSUMED names.
TABLE_5: Mapping[str, Any] = {
    "batch": 2048,
    "micro_batch": 256,
    "input_px": 224,
    "in_chans": 3,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "interpolation": "bicubic",
    "lr": 1e-3,
    "min_lr": 1e-6,
    "weight_decay": 0.05,
    "betas": [0.9, 0.999],
    "warmup_fraction": 0.1,  # 12 of 120 epochs, 16 of 160
    "label_smoothing": 0.1,
    "ema_horizon": 0.0,
    "ema_decay": 0.9999,
    "drop_path": 0.1,
    "dtype": "bfloat16",
    "threads": 1,
    "shift_px": 0,
    "flip": True,
    "crop_scale": [0.08, 1.0],
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "color_jitter": 0.4,
    "random_erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
    "mix_probability": 1.0,
    "mix_switch": 0.5,
}
ASSUMED = {
    "micro_batch": "2,048 on eight devices; batch norm and Mixup see so many at a time",
    "input_px": "ImageNet's usual size",
    "mean": "ImageNet's usual values",
    "std": "ImageNet's usual values",
    "interpolation": CONVNEXT,
    "min_lr": CONVNEXT,
    "weight_decay": CONVNEXT,
    "drop_path": 'Table 5 says "0.1/0.4/0.5/0.5", copied from ConvNeXt-T/S/B/L; T is of this size',
    "dtype": "for its cost; ConvNeXt's code trains in float32 unless told otherwise",
    "flip": CONVNEXT,
    "crop_scale": CONVNEXT,
    "auto_augment": f"magnitude 9 and deviation 0.5 are stated; inc1 is {CONVNEXT}",
    "color_jitter": f"{CONVNEXT}; timm leaves it out where auto_augment is on",
    "random_erasing": f"0.25 is stated; noise in each pixel is {CONVNEXT}",
    "mix_probability": CONVNEXT,
    "mix_switch": CONVNEXT,
    "ema_decay": "0.9999 is stated; that the averaged weights are the ones used is not",
}
_LAYER_SCALE = {"layer_scale": 1e-6}  # Table 5; a ResNet has none


def _recipe(
    name: str, summary: str, values: Mapping[str, Any], *, epochs: int, of: int, version: str = "1"
) -> tuple[Part, Part]:
    """Return a recipe whose budget is that many epochs of the set it was made for, and its twin that counts epochs."""
    fixed = {**values, "samples_seen": epochs * of}
    counted = {**values, "epochs": epochs}
    other = f"{name} with {epochs} epochs of the images there are, however few"
    return (
        Part("recipe", name, version, values=fixed, summary=summary, assumed=ASSUMED),
        Part("recipe", f"{name}-epochs", version, values=counted, summary=other, assumed=ASSUMED),
    )


# Ours, and not tuned: Table 5 without what a short run has no use for, on smaller images.
FAST = Part(
    "recipe",
    "fast",
    "1",
    values={
        **{name: value for name, value in TABLE_5.items() if name not in ("ema_decay", "auto_augment", "color_jitter")},
        "samples_seen": 16 * IMAGENET,
        "batch": 1024,
        "input_px": 160,
        "crop_scale": [0.25, 1.0],
        "ema_horizon": 0.1332,  # the share of the run that 0.9999 averages over in Table 5
        "drop_path": 0.0,
        "random_erasing": 0.0,
        "mixup": 0.0,
        "cutmix": 0.0,
    },
    summary="16 epochs of ImageNet at 160 px: 2.6e17 operations with ResNet-50, 1/15 of lbgen-table5; not tuned",
    assumed={
        "samples_seen": "ours",
        "batch": "ours",
        "input_px": "ours",
        "crop_scale": "ours: a short run does not fit what the smallest crops show",
        **{name: ASSUMED[name] for name in ("mean", "std", "interpolation", "min_lr", "weight_decay", "dtype", "flip")},
    },
)
# Ours: goes through every part of Table 5 in seconds, at a strength that a small network can learn under.
SMOKE = Part(
    "recipe",
    "smoke",
    "1",
    values={
        **{name: value for name, value in TABLE_5.items() if name != "ema_decay"},
        "samples_seen": 12_800,
        "batch": 64,
        "micro_batch": 32,
        "input_px": 48,
        "mean": [0.45, 0.45, 0.45],
        "std": [0.25, 0.25, 0.25],
        "lr": 1e-2,
        "ema_horizon": 0.1332,
        "drop_path": 0.0,
        "dtype": "float32",
        "crop_scale": [0.7, 1.0],
        "auto_augment": "rand-m3-mstd0.5-inc1",
        "random_erasing": 0.1,
        "mix_probability": 0.2,
    },
    summary="200 steps at 48 px through every part of Table 5, weakly: 2.2e11 operations with toybox-resnet, seconds",
    assumed=dict.fromkeys(("samples_seen", "batch", "micro_batch"), "ours")
    | dict.fromkeys(("input_px", "mean", "std", "lr"), "recipe toybox-small's")
    | dict.fromkeys(
        ("crop_scale", "auto_augment", "random_erasing", "mix_probability"),
        "ours: at Table 5's strength 200 steps learn nothing that can be seen",
    ),
)
RECIPES = (
    *_recipe(
        "lbgen-table5",
        "lbGen's Table 5 for ResNet-50: 120 epochs of ImageNet, 3.8e18 operations",
        TABLE_5,
        epochs=120,
        of=IMAGENET,
    ),
    *_recipe(
        "lbgen-table5-vit",
        "lbGen's Table 5 for ViT-S: 160 epochs of ImageNet, 5.7e18 operations",
        {**TABLE_5, **_LAYER_SCALE},
        epochs=160,
        of=IMAGENET,
    ),
    *_recipe(
        "in100-ablation",
        "lbGen's ablation on ImageNet-100 with ResNet-50: batch 512, 120 epochs, 3.7e17 operations",
        {**TABLE_5, "batch": 512},
        epochs=120,
        of=IMAGENET_100,
    ),
    FAST,
    SMOKE,
)
