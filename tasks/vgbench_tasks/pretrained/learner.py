"""A network that a source has taught, and what it says to a test: what Toybox's and ImageNet's tasks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vgbench import Backbone, ClassList, Graph, Images, Node, Option, Part, UsageError, stages
from vgbench.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What a network is taught, and how test images travel.

    classes   what its head answers with; a backbone brings classes of its own where its head's are known
    real      labelled real images of the classes, on which a backbone without a known head is probed
    fits      whether a backbone's head that knows these classes can answer in place of one taught here
    store_px  side of the training copies
    test      packs a test's images
    """

    classes: ClassList
    real: Callable[[], Images]
    fits: Callable[[ClassList], bool]
    store_px: int
    test: Callable[[Node], Node]


def options(*, recipe: str, backbone: str, probe: str, images_per_class: int) -> tuple[Option, ...]:
    """Return the options that every task on a pre-trained network has, with one world's defaults."""
    return (
        Option("recipe", "str", recipe, "training recipe of the network" + ("" if recipe else " (default: its own)")),
        Option("samples_seen", "int", None, "training samples (default: the recipe's)", minimum=1),
        Option("probe", "str", probe, "probe on the features of a backbone trained elsewhere"),
        Option("backbone", "str", backbone, "a declared backbone, or a timm architecture", axis="row"),
        Option("images_per_class", "count", images_per_class, "images asked of the source for each kind", axis="row"),
    )


def recipe_of(g: Graph, options: Mapping[str, Any]) -> Part:
    """Return the recipe of the options, or the one that their backbone's part names; ``UsageError`` for neither."""
    if not options["recipe"]:
        try:
            return g.part("recipe", g.part("backbone", options["backbone"]).values["recipe"])
        except (UnknownName, KeyError):
            raise UsageError(
                f"by which recipe is {options['backbone']} trained? None is declared for it",
                hint="for example: --recipe lbgen-table5; see: vgbench list parts",
            ) from None
    return g.part("recipe", options["recipe"])


def backbone(
    g: Graph,
    subject: Images,
    options: Mapping[str, Any],
    *,
    store_px: int,
    is_trained: bool = True,
    permuted: bool = False,
) -> Backbone:
    """Pre-train the options' network on the subject's images, or take its initialisation."""
    recipe = recipe_of(g, options)
    arch, arch_args = stages.architecture(g, options["backbone"])
    refuse_layer_scale(g, recipe, options["backbone"])
    return stages.backbone(
        g,
        stages.pack(g, subject, store_px=store_px),
        arch=arch,
        arch_args=arch_args,
        n_classes=len(subject.classes),
        recipe=recipe,
        samples_seen=(options["samples_seen"] or stages.budget(recipe)) if is_trained else 0,
        permute_labels=permuted,
        rate=stages.training_rate(g, options["backbone"], input_px=recipe.values["input_px"]),
    )


def refuse_layer_scale(g: Graph, recipe: Part, name: str) -> None:
    """Refuse a recipe with a layer scale for a backbone that is declared to have none: a worker would, but late."""
    try:
        has_one = g.part("backbone", name).values.get("has_layer_scale", True)
    except UnknownName:  # timm's: the parent process cannot ask it
        return
    if recipe.values.get("layer_scale") and not has_one:
        raise UsageError(f"recipe {recipe.name} sets a layer scale, and {name} has none", hint="recipe=lbgen-table5")


@dataclass(frozen=True, slots=True)
class Learner:
    """Answers for a test's images: of what was taught, of its initialisation, of a training on permuted labels.

    ``classes``: what answers are chosen among, in the order of their scores. Of a given backbone neither its
    initialisation is known, nor what permuted labels would have taught it.
    """

    classes: ClassList
    answers: Callable[[Node], Node]
    untrained: Callable[[Node], Node] | None = None
    permuted: Callable[[Node], Node] | None = None


def learner(g: Graph, subject: Images | Backbone, of: Curriculum, options: Mapping[str, Any]) -> Learner:
    """Train a network on a source's images and let its head answer.

    Of a given backbone its own head answers where its classes are known and fit, else a probe that is fitted on the
    curriculum's real images. ``UsageError`` where there is neither.
    """
    if isinstance(subject, Images):
        recipe = recipe_of(g, options)

        def by_head(**how: bool) -> Callable[[Node], Node]:
            network = backbone(g, subject, options, store_px=of.store_px, **how)
            return lambda test: stages.predict(g, network, of.test(test), of.classes, recipe=recipe)

        return Learner(of.classes, by_head(), by_head(is_trained=False), by_head(permuted=True))
    if subject.classes is not None and of.fits(subject.classes):
        classes = subject.classes
        return Learner(classes, lambda test: stages.predict(g, subject, of.test(test), classes))
    if not options["probe"]:
        named = subject.classes.name if subject.classes else "classes that nobody named"
        raise UsageError(
            f"the backbone's head answers with {named}",
            hint="weights:ARCH@FILE,head=imagenet-1k; or fit a probe on real images: --probe logreg",
        )
    return Learner(of.classes, lambda test: probed(g, subject, of, test, g.part("probe", options["probe"])))


def probed(g: Graph, network: Backbone, of: Curriculum, test: Node, probe: Part) -> Node:
    """Fit a probe on a frozen network's features of the curriculum's real images; predict a test's."""
    train = stages.features(g, stages.pack(g, of.real(), store_px=of.store_px), network)
    return stages.fit_probe(g, train, stages.features(g, of.test(test), network), of.classes, probe=probe)
