"""The recipes of training to a plateau. What was read of the paper states nothing of its optimiser: see each number."""

from __future__ import annotations

from vgbench import Part

# Random resized crops in every row: Burg et al. (second-hand). All else is `assumed`: batch, rate, plateau, early stop
# and 270 epochs are remembered, unverified (protocols.md §2.1 [M]), read here as passes over the 10 % (500 steps of 256
# are one pass over 128,117 images); momentum, weight decay, crops, flips, threshold and normalisation are what
# ResNet-50 on ImageNet is usually trained with.
IMAGENET = Part(
    "recipe",
    "augment10",
    "1",
    values={
        "samples_seen": 34_560_000,  # assumed: 270 validations of 500 steps
        "batch": 256,  # assumed
        "input_px": 224,
        "in_chans": 3,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
        "lr": 0.1,  # assumed
        "momentum": 0.9,  # assumed
        "weight_decay": 1e-4,  # assumed
        "validate_every": 500,  # assumed
        "factor": 0.1,  # assumed
        "plateau_patience": 10,  # assumed
        "stop_patience": 20,  # assumed
        "threshold": 1e-4,  # torch's default
        "crop_scale": [0.08, 1.0],  # assumed
        "crop_ratio": [0.75, 4 / 3],  # assumed
        "flip": True,  # assumed
        "dtype": "float32",
        "threads": 1,
    },
    summary="SGD that follows a validation set: rate ÷ 10 on a plateau, early stop; its numbers are assumed",
)

# Ours, for the twin: the same rules in small, not tuned. A pass over the twin's 800 training images is 12 steps.
TOYBOX = Part(
    "recipe",
    "augment10-toybox",
    "1",
    values={
        **IMAGENET.values,
        "samples_seen": 128_000,
        "batch": 64,
        "input_px": 48,
        "mean": [0.45, 0.45, 0.45],
        "std": [0.25, 0.25, 0.25],
        "validate_every": 25,
        "crop_scale": [0.5, 1.0],  # objects are small: a crop of 8 % would often hold none
    },
    summary="augment10 in small: at most 2,000 steps at 48 px, a validation every 25",
)
