"""What the tasks on a pre-trained network share: what is asked of a source, and a network that answers for a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vgbench import Backbone, DataRequest, Dataset, Graph, Images, Node, Option, Part, Scores, stages
from vgbench_tasks.datasets.toybox import SIZE_PX, WORLD, classes_of, drawn

CITATION = "vgbench's Toybox (docs/toybox.md)"
REAL_PER_CLASS = 250  # images of each kind in the world's own training set, what `original` draws from (ours)
OPTIONS = (
    WORLD,
    SIZE_PX,
    Option("recipe", "str", "toybox", "training recipe of the network"),
    Option("samples_seen", "int", None, "training samples (default: the recipe's)", minimum=1),
    Option("probe", "str", "logreg", "probe on the features of a backbone trained elsewhere"),
    Option("backbone", "str", "toybox-resnet", "a declared backbone, or a timm architecture", axis="row"),
    Option("images_per_class", "count", 250, "images asked of the source for each kind", axis="row"),
)


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Ask for the world's kinds. The references are unbiased images of a split that no test uses."""
    classes = classes_of(g, options)
    real = stages.labelled(g, _real(g, options), classes)
    return DataRequest(classes, options["images_per_class"], references=real)


def backbone(
    g: Graph, subject: Images, options: Mapping[str, Any], *, is_trained: bool = True, permuted: bool = False
) -> Backbone:
    """Pre-train the options' network on the subject's images, or take its initialisation."""
    recipe = g.part("recipe", options["recipe"])
    arch, arch_args = stages.architecture(g, options["backbone"])
    return stages.backbone(
        g,
        stages.pack(g, subject, store_px=options["size_px"]),
        arch=arch,
        arch_args=arch_args,
        n_classes=len(subject.classes),
        recipe=recipe,
        samples_seen=(options["samples_seen"] or stages.budget(recipe)) if is_trained else 0,
        permute_labels=permuted,
    )


@dataclass(frozen=True, slots=True)
class Learner:
    """Answers for a test's images: of what was taught, and of its initialisation (None: it is not known)."""

    answers: Callable[[Node], Node]
    untrained: Callable[[Node], Node] | None


def learner(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Learner:
    """Train a network on a source's images and let its head answer; probe a given backbone on real images."""
    classes = classes_of(g, options)
    if isinstance(subject, Images):
        recipe = g.part("recipe", options["recipe"])

        def by_head(network: Backbone) -> Callable[[Node], Node]:
            return lambda test: stages.predict(g, network, _pack(g, test, options), classes, recipe=recipe)

        return Learner(by_head(backbone(g, subject, options)), by_head(backbone(g, subject, options, is_trained=False)))

    real = stages.labelled(g, _real(g, options), classes)
    probe: Part = g.part("probe", options["probe"])

    def by_probe(test: Node) -> Node:
        train = stages.features(g, stages.pack(g, real, store_px=options["size_px"]), subject)
        found = stages.features(g, _pack(g, test, options), subject)
        return stages.fit_probe(g, train, found, classes, probe=probe)

    return Learner(by_probe, None)


def answer(
    g: Graph, subject: Images | Backbone, options: Mapping[str, Any], test: str, scores: Callable[..., Scores]
) -> Scores:
    """Let what the subject taught answer ``n_test`` cases of a test set.

    ``scores(g, answers, labels, untrained=)`` is the protocol's graph from a network's answers on.
    """
    given = drawn(g, test, options, n=options["n_test"])
    taught = learner(g, subject, options)
    untrained = taught.untrained(given.images) if taught.untrained else None
    return scores(g, taught.answers(given.images), given.labels, untrained=untrained)


def _real(g: Graph, options: Mapping[str, Any]) -> Dataset:
    return drawn(g, "train", options, n=REAL_PER_CLASS * len(classes_of(g, options)))


def _pack(g: Graph, test: Node, options: Mapping[str, Any]) -> Node:
    return stages.pack(g, test, store_px=options["size_px"], labelled=False)
