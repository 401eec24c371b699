"""Networks: trained on a training copy, and asked what a test shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vgbench.errors import CannotServe, UnknownName, UsageError
from vgbench.stages.encoding import TORCH
from vgbench.types import Backbone, ClassList, Graph, Input, Node, Part, Rate, StepRef

# For estimates alone. What a declared backbone's `gflop` is stated at; what an A100 is known to give a diffusion model
# (see vgbench_plugins.sd): nobody has measured our training there.
GFLOP_PX = 224
A100_FLOP_PER_SECOND = 51.6e12
PRETRAIN = StepRef(
    "vgbench.pretrain", "2", "vgbench.steps.pretrain:pretrain", seed="train", gpu=True, rate=Rate(1_200), needs=TORCH
)
# Rate: recipe augment10-toybox with toybox-resnet at 48 px, validations included.
PLATEAU = StepRef(
    "vgbench.plateau", "1", "vgbench.steps.plateau:train", seed="train", gpu=True, rate=Rate(1_200), needs=TORCH
)
PREDICT = StepRef("vgbench.predict", "2", "vgbench.steps.predict:predict", gpu=True, rate=Rate(2_700, 72), needs=TORCH)


def architecture(g: Graph, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the timm architecture and its arguments that a name stands for: a declared part's, or timm's own."""
    try:
        values = g.part("backbone", name).values
    except UnknownName:  # timm's: the parent process cannot ask it
        return name, {}
    return values["arch"], values["arch_args"]


def budget(recipe: Part) -> int | None:
    """Return the samples that a recipe trains on, whatever the source's size; None where it counts ``epochs``.

    ``UsageError`` for a recipe that states neither, ``CannotServe`` for one that watches a validation set.
    """
    if "validate_every" in recipe.values:
        raise CannotServe(f"recipe {recipe.name} trains to a plateau, which only augment10 does")
    if "samples_seen" not in recipe.values and "epochs" not in recipe.values:
        raise UsageError(f"recipe {recipe.name!r} does not say how long it trains", hint="samples_seen or epochs")
    found: int | None = recipe.values.get("samples_seen")
    return found


def refuse_budget(recipe: Part, samples_seen: int | None) -> None:
    """Refuse a budget that no optimiser step fits in (``UsageError``), 0 aside."""
    batch = recipe.values.get("batch", 1)
    if samples_seen is not None and 0 < samples_seen < batch:
        raise UsageError(f"samples_seen={samples_seen}: recipe {recipe.name} takes {batch} at a step")


def training_rate(g: Graph, name: str, *, input_px: int) -> Rate:
    """Return how fast a network learns on one GPU, for estimates: computed from what its part says of its size.

    Forward and backward are three forward passes; convolutions cost in proportion to pixels, and a transformer's
    tokens nearly so. Of an architecture that no part declares nothing is known.
    """
    try:
        gflop = float(g.part("backbone", name).values["gflop"])
    except (UnknownName, KeyError):
        source = f"nothing is known of {name}: a small network on digits, far too fast for a larger one"
        return replace(PRETRAIN.rate or Rate(1), source=source)
    at = gflop * (input_px / GFLOP_PX) ** 2
    source = f"computed, not measured: {name}, 3 × {at:.1f} GFLOP an image at 51.6 TFLOP/s (one A100-80G, fal.ai)"
    return Rate(A100_FLOP_PER_SECOND / (3 * at * 1e9), source=source)


def backbone(
    g: Graph,
    subject: Node | Backbone,
    *,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    n_classes: int,
    recipe: Part,
    samples_seen: int | None,
    permute_labels: bool = False,
    rate: Rate | None = None,
) -> Backbone:
    """Pre-train a backbone on a training copy. A subject that already is a backbone passes through.

    ``samples_seen=0`` is the random initialisation, which reads no image: it is the same node for every source. None:
    the recipe's epochs of the images that there are (see ``budget``). ``rate``: what is known of this network's speed
    (``training_rate``), for estimates.
    """
    if isinstance(subject, Backbone):
        return subject
    refuse_budget(recipe, samples_seen)
    params = {
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "n_classes": n_classes,
        "recipe": recipe,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    inputs: dict[str, Input] = {} if samples_seen == 0 else {"images": subject}
    return Backbone(g.node(replace(PRETRAIN, rate=rate or PRETRAIN.rate), inputs=inputs, params=params))


def trained_to_plateau(
    g: Graph,
    images: Node,
    val: Node,
    *,
    store_px: int,
    arch: str,
    arch_args: Mapping[str, Any] | None = None,
    n_classes: int,
    recipe: Part,
    samples_seen: int,
    permute_labels: bool = False,
) -> Backbone:
    """Train a network on a training copy until its accuracy on another, ``val``, stops improving.

    ``samples_seen`` at most; 0 is the random initialisation, the same node for every source. ``CannotServe`` for a
    recipe that does not watch a validation set.
    """
    if "validate_every" not in recipe.values:
        raise CannotServe(f"recipe {recipe.name} does not train to a plateau", hint="for example: augment10")
    refuse_budget(recipe, samples_seen)
    params = {
        "arch": arch,
        "arch_args": dict(arch_args or {}),
        "n_classes": n_classes,
        "recipe": recipe,
        "store_px": store_px,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    inputs: dict[str, Input] = {"images": images, "val": val} if samples_seen else {}
    return Backbone(g.node(PLATEAU, inputs=inputs, params=params))


def predict(g: Graph, network: Backbone, pack: Node, classes: ClassList, *, recipe: Part | None = None) -> Node:
    """Predict a training copy's classes with a network's own head, as its recipe says; float32 where it has none."""
    numerics = {k: recipe.values[k] for k in ("dtype", "threads")} if recipe else {"dtype": "float32", "threads": 1}
    params = {"class_ids": list(classes.ids), **numerics, "batch": 256}
    return g.node(PREDICT, inputs={"backbone": network, "images": pack}, params=params)
