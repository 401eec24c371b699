"""Train a backbone from scratch on a training copy, by a named recipe: the one step that every recipe uses."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from vgbench.steps import checkpoints
from vgbench.steps.augmentation import Augmentation
from vgbench.steps.loading import labels_of, loader
from vgbench.steps.predict import (
    META_FILE,
    WEIGHTS_FILE,
    Preprocessing,
    build_model,
    torch_settings,
)
from vgbench.steps.ranks import Ranks, together
from vgbench.steps.recipe import Recipe, samples_of
from vgbench.steps.schedule import batches, derived_seed, micro_batches, n_steps, permutation
from vgbench.steps.training import ALONE, Training
from vgbench.types import Made, Step

CHECKPOINT_SECONDS = 30.0
LAYER_SCALES = ("init_values", "ls_init_value")  # what timm's architectures call its initial value


def pretrain(step: Step, *, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Made:
    """Train ``arch`` on the training copy ``images`` and write a backbone: ``weights.safetensors`` and ``meta.json``.

    Params: ``arch``, ``arch_args`` (timm), ``n_classes``, ``recipe`` (a part, see ``Recipe``), ``samples_seen`` (0: the
    untouched initialisation, the control ``random-init``; None: the recipe's ``epochs`` of the images there are),
    ``permute_labels`` (a control: labels shuffled once before the fit). The weights are the EMA's (assumed: lbGen
    states an EMA, not which weights it evaluates); they load with
    ``timm.create_model(arch, num_classes=, in_chans=, checkpoint_path=, **arch_args)``. Equal seeds give equal bytes on
    a CPU, also through kills: checkpoints at most every ``checkpoint_seconds`` in ``step.scratch``. On several
    ``step.devices`` a process for each shares out every step's micro-batches.

    Raises:
        ValueError: a recipe that this step cannot follow, an unknown architecture, labels outside 0..n_classes-1.
        FloatingPointError: the loss is no longer finite.
    """
    if step.devices > 1 and step.params["samples_seen"] != 0:
        return together(step, trained)
    return trained(step, ALONE, checkpoint_seconds=checkpoint_seconds)


def trained(step: Step, ranks: Ranks, *, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Made:
    """Train as one of several processes; rank 0 writes."""
    params, part = step.params, step.params["recipe"]
    recipe = Recipe.of(part)
    preprocessing = Preprocessing.of(part.values)
    if step.seed is None:
        raise ValueError("pretrain draws from a seed: its node must name the seed axis 'train'")
    seed, n_classes = step.seed, params["n_classes"]
    arch, arch_args = params["arch"], with_layer_scale(params["arch"], params["arch_args"], recipe.layer_scale)
    labels = np.empty(0, np.int64)
    if params["samples_seen"] != 0:
        labels = _labels(step, n_classes, seed)
    steps = n_steps(samples_of(part, params["samples_seen"], len(labels)), recipe.batch)
    with torch_settings(recipe.threads, deterministic=step.device == "cpu"):
        torch.manual_seed(derived_seed(seed, "initialisation"))
        model = build_model(
            arch, arch_args, n_classes=n_classes, in_chans=recipe.in_chans, drop_path=recipe.drop_path
        ).to(step.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        training = Training(model.train(), recipe, steps=steps, ranks=ranks)
        if steps:
            _run(training, step, preprocessing, labels, seed=seed, checkpoint_seconds=checkpoint_seconds)
    made = Made(items=steps * recipe.batch)
    if ranks.rank:
        return made
    weights = {name: tensor.cpu().contiguous() for name, tensor in training.ema.items()}
    save_file(weights, step.out / WEIGHTS_FILE, metadata={"format": "pt"})
    meta = {
        "arch": arch,
        "arch_args": arch_args,
        "n_classes": n_classes,
        **asdict(preprocessing),
        "recipe": {"name": part.name, "version": part.version, "values": dict(part.values)},
        "permute_labels": params["permute_labels"],
        "samples_seen": steps * recipe.batch,
        "optimiser_steps": steps,
        "ema_decay": training.decay if steps else None,
        "final_train_loss": training.loss if steps else None,
        "weights_sha256": hashlib.sha256((step.out / WEIGHTS_FILE).read_bytes()).hexdigest(),
    }
    (step.out / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
    return made


def _labels(step: Step, n_classes: int, seed: int) -> NDArray[np.int64]:
    labels = labels_of(step.inputs["images"])
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels run from {labels.min()} to {labels.max()}: they must lie in 0..{n_classes - 1}")
    return labels[permutation(len(labels), seed, "permute-labels")] if step.params["permute_labels"] else labels


def with_layer_scale(arch: str, arch_args: Mapping[str, Any], initial: float) -> dict[str, Any]:
    """Return an architecture's arguments with the initial value of its layer scale; unchanged where that is 0.

    Raises:
        ValueError: the architecture has no layer scale.
    """
    if not initial or not timm.is_model(arch):
        return dict(arch_args)
    with torch.device("meta"):
        known = inspect.signature(type(timm.create_model(arch, **arch_args)).__init__).parameters
    name = next((name for name in LAYER_SCALES if name in known), None)
    if name is None:
        raise ValueError(f"the recipe's layer_scale is {initial:g}, and {arch} has none")
    return {**arch_args, name: initial}


def _run(
    training: Training,
    step: Step,
    preprocessing: Preprocessing,
    labels: NDArray[np.int64],
    *,
    seed: int,
    checkpoint_seconds: float,
) -> None:
    recipe, ranks = training.recipe, training.ranks
    reads = checkpoints.files_of(step.inputs["images"])
    training.resume(step.scratch, reads=reads)
    saved = time.monotonic()
    mine = ranks.share(recipe.n_micro_batches)
    augmentation = Augmentation(
        recipe, preprocessing, n_classes=step.params["n_classes"], seed=seed, device=step.device
    )
    images = loader(
        step.inputs["images"],
        recipe,
        preprocessing,
        n=len(labels),
        scratch=step.scratch,
        ranks=ranks,
        pin=step.device != "cpu",
    )
    order = batches(
        len(labels),
        recipe.batch,
        steps=training.steps,
        seed=seed,
        shift_px=recipe.shift_px,
        flip=recipe.flip,
        start=training.step,
    )

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        for micro, pixels in images.load(micro_batches(order, mine, size=recipe.micro_batch, start=training.step)):
            yield augmentation(micro, pixels, labels[micro.samples.indices])

    made = parts()
    while training.step < training.steps:
        training.advance(islice(made, len(mine)), seed=seed)
        is_due = training.step < training.steps and time.monotonic() - saved >= checkpoint_seconds
        if is_due and ranks.rank == 0:
            training.save(step.scratch, reads=reads)
            saved = time.monotonic()
        step.progress(training.step * recipe.batch, training.steps * recipe.batch)
