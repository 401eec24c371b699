"""Backbones trained elsewhere, in place of a source: a checkpoint of your own, or the untouched initialisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vgbench import Backbone, Graph, Option, Rate, Sees, SourceSpec, StepRef, UsageError, hookimpl, stages

LOAD = StepRef("vgbench.load_weights", "1", "vgbench_plugins.weights.load:load", rate=Rate(1), needs=stages.TORCH)
INITIALISE = StepRef(
    "vgbench.initialise", "1", "vgbench_plugins.weights.load:initialise", seed="train", rate=Rate(1), needs=stages.TORCH
)


def weights(g: Graph, options: Mapping[str, Any]) -> Backbone:
    """Return the checkpoint ``ARCH@FILE``; its bytes are in the key, its path is not.

    Where ``head`` names the class list that its head was trained on, tasks on these classes let the head answer.
    """
    arch, at, path = str(options["checkpoint"]).partition("@")
    if not (arch and at and path):
        raise UsageError(f"weights: {options['checkpoint']!r} is not ARCH@FILE", hint="for example: resnet50@my.pth")
    params: dict[str, Any] = {"arch": arch, "checkpoint": g.path(path)}
    if not options["head"]:
        return Backbone(g.node(LOAD, params=params))
    classes = g.class_list(options["head"])
    return Backbone(g.node(LOAD, params={**params, "n_classes": len(classes)}), classes)


def random_init(g: Graph, options: Mapping[str, Any]) -> Backbone:
    """Return an architecture's untouched initialisation, drawn from the train seed."""
    return Backbone(g.node(INITIALISE, params={"arch": options["arch"]}))


@hookimpl
def vgbench_offer_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="weights",
        summary="a backbone trained elsewhere: a timm or torchvision checkpoint",
        kind="backbone",
        sees=Sees("full labelled set"),  # nobody can say what a checkpoint has seen, so the most is assumed
        backbone_graph=weights,
        primary="checkpoint",
        options=(
            Option("checkpoint", "str", "", "ARCH@FILE, a timm architecture and a .pth or .safetensors file"),
            Option("head", "str", "", "class list of its head, in the head's order: tasks on these let it answer"),
        ),
        extra="torch",
    )
    yield SourceSpec(
        name="random-init",
        summary="an untrained backbone: what a task's score is worth without any source",
        kind="backbone",
        sees=Sees("class names"),
        backbone_graph=random_init,
        primary="arch",
        options=(Option("arch", "str", "test_resnet", "timm architecture"),),
        extra="torch",
        generator_training_data="none",
    )
