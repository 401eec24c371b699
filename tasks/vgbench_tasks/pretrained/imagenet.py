"""Networks that are taught ImageNet's classes: what is asked of a source, and what answers for a real test set.

A head need not know all 1,000 classes, nor a test: both are compared by wnid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vgbench import (
    Backbone,
    CannotServe,
    ClassList,
    DataRequest,
    Graph,
    Images,
    Node,
    Option,
    Part,
    Scores,
    stages,
)
from vgbench.errors import NotObserved
from vgbench_tasks.pretrained import learner
from vgbench_tasks.pretrained import restricted as restriction

IMAGENET, IMAGENET100 = "imagenet-1k", "imagenet-100"
IMAGES_PER_CLASS = 1300  # lbGen §3.3; ImageNet's classes have 732 to 1,300
SIZE_PX = Option("size_px", "int", 224, "side of the square of a test image that is shown", minimum=16)
EVAL_CROP = 224 / 256  # of a test image's central square, as ConvNeXt evaluates (protocols §3.4)


def options(*, classes: str = IMAGENET, probe: str = "") -> tuple[Option, ...]:
    """Return the options that every task on ImageNet's classes has.

    ``probe``: none where a head answers, since 1.28 million images are much to fit a probe on unasked.
    """
    return (
        Option("classes", "str", classes, "what a network is taught: a class list, or a JSON file of ImageNet's wnids"),
        SIZE_PX,
        Option("store_px", "int", 256, "side of the training copies", minimum=16),  # ours: ConvNeXt's evaluation side
        *learner.options(recipe="", backbone="resnet50", probe=probe, images_per_class=IMAGES_PER_CLASS),
    )


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Ask for the classes that the network is taught. The references are ImageNet's own training images.

    No task leaves out copies of its test images: each would then train on another image set, and no two could share a
    network. The reader of a source that finds images has to know that (docs/pretraining-tasks.md).
    """
    classes = g.class_list(options["classes"])
    references, unobserved = None, None
    try:
        references = real(g, classes)
    except NotObserved as error:
        unobserved = error
    except CannotServe:  # classes that ImageNet has not: a source may know them
        pass
    return DataRequest(classes, options["images_per_class"], references=references, unobserved=unobserved)


def real(g: Graph, classes: ClassList) -> Images:
    """Return ImageNet's training images of the classes; ``CannotServe`` for classes that it has not."""
    for name in (IMAGENET, IMAGENET100):
        if classes.ids == g.class_list(name).ids:
            return stages.labelled(g, g.dataset(name, "train"), classes)
    whole = g.class_list(IMAGENET)
    strangers = sorted(set(classes.ids) - set(whole.ids))
    if strangers:
        raise CannotServe(f"{classes.name}: {', '.join(strangers[:3])} is no wnid of ImageNet's 1,000 classes")
    return stages.select(g, stages.labelled(g, g.dataset(IMAGENET, "train"), whole), classes, images_per_class=None)


def curriculum(g: Graph, options: Mapping[str, Any], *, resize_px: int | None = None) -> learner.Curriculum:
    """Return ImageNet's classes, and tests of central squares; ``resize_px`` as in ``stages.pack``."""
    classes = g.class_list(options["classes"])
    known = set(g.class_list(IMAGENET).ids)

    def test(images: Node) -> Node:
        return stages.pack(g, images, store_px=options["size_px"], labelled=False, resize_px=resize_px)

    return learner.Curriculum(
        classes,
        real=lambda: real(g, classes),
        fits=lambda head: set(head.ids) <= known,
        store_px=options["store_px"],
        test=test,
    )


def eval_px(options: Mapping[str, Any]) -> int:
    """Return what the shorter side of a test image becomes before its centre is cut out: 256 for 224."""
    size_px: int = options["size_px"]
    return round(size_px / EVAL_CROP)


def restricted(
    g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, dataset: str, classes: str, scorer: Part
) -> Scores:
    """Let a head answer one of ImageNet's tests among the classes that both know (`pretrained.restricted`)."""
    taught = learner.learner(g, subject, curriculum(g, options, resize_px=eval_px(options)), options)
    permuted: bool = options.get("permuted", False)
    return restriction.restricted(
        g, taught, g.dataset(dataset, "test"), g.class_list(classes), scorer=scorer, permuted=permuted
    )


def answer(
    g: Graph,
    subject: Images | Backbone,
    options: Mapping[str, Any],
    dataset: str,
    categories: stages.Categories,
    scores: Callable[..., Scores],
) -> Scores:
    """Let a head answer a test whose categories are mapped from ImageNet's 1,000 positions.

    ``scores(g, answers, labels, categories=, untrained=)`` is the protocol's graph from a network's answers on.
    """
    taught = learner.learner(g, subject, curriculum(g, options), options)
    given = g.dataset(dataset, "test")
    return scores(
        g,
        taught.answers(given.images),
        given.labels,
        categories=mapped(g, taught.classes, categories, dataset),
        untrained=taught.untrained(given.images) if taught.untrained else None,
    )


def mapped(g: Graph, head: ClassList, categories: stages.Categories, task: str) -> stages.Categories:
    """Return categories of ImageNet's positions as positions in a head.

    ``CannotServe`` for a head that lacks one of their classes: its categories would be others, and mostly empty.
    """
    whole = g.class_list(IMAGENET).ids
    if head.ids == whole:
        return categories
    position = {wnid: i for i, wnid in enumerate(head.ids)}
    counted = [whole[member] for _, members in categories for member in members]
    lacking = [wnid for wnid in counted if wnid not in position]
    if lacking:
        raise CannotServe(
            f"{task} reads a head of ImageNet's 1,000 classes: {len(lacking)} of the {len(counted)} that count are not "
            f"among the {len(head)} of {head.name}",
            hint="classes=imagenet-1k",
        )
    return [(name, tuple(position[whole[member]] for member in members)) for name, members in categories]


def with_floor(scorer: Part, options: Mapping[str, Any]) -> Part:
    """Return a bias scorer that is told the user's floor, where there is one."""
    return scorer if options["floor"] is None else replace(scorer, values={**scorer.values, "floor": options["floor"]})
