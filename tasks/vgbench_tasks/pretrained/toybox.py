"""Networks that are taught Toybox's kinds: what is asked of a source, and what answers for a drawn test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vgbench import Backbone, DataRequest, Graph, Images, Scores, stages
from vgbench_tasks.datasets.toybox import SIZE_PX, WORLD, classes_of, drawn
from vgbench_tasks.pretrained import learner

CITATION = "vgbench's Toybox (docs/toybox.md)"
REAL_PER_CLASS = 250  # images of each kind in the world's own training set, what `original` draws from (ours)
OPTIONS = (
    WORLD,
    SIZE_PX,
    *learner.options(recipe="toybox", backbone="toybox-resnet", probe="logreg", images_per_class=250),
)


def request(g: Graph, options: Mapping[str, Any]) -> DataRequest:
    """Ask for the world's kinds. The references are unbiased images of a split that no test uses."""
    return DataRequest(classes_of(g, options), options["images_per_class"], references=_real(g, options))


def curriculum(g: Graph, options: Mapping[str, Any]) -> learner.Curriculum:
    """Return the world's kinds, at one size for training and tests."""
    classes = classes_of(g, options)
    size_px: int = options["size_px"]
    return learner.Curriculum(
        classes,
        real=lambda: _real(g, options),
        fits=lambda head: head.ids == classes.ids,
        store_px=size_px,
        test=lambda test: stages.pack(g, test, store_px=size_px, labelled=False),
    )


def answer(
    g: Graph, subject: Images | Backbone, options: Mapping[str, Any], test: str, scores: Callable[..., Scores]
) -> Scores:
    """Let what the subject taught answer ``n_test`` cases of a test set.

    ``scores(g, answers, labels, untrained=)`` is the protocol's graph from a network's answers on.
    """
    given = drawn(g, test, options, n=options["n_test"])
    taught = learner.learner(g, subject, curriculum(g, options), options)
    untrained = taught.untrained(given.images) if taught.untrained else None
    return scores(g, taught.answers(given.images), given.labels, untrained=untrained)


def _real(g: Graph, options: Mapping[str, Any]) -> Images:
    classes = classes_of(g, options)
    return stages.labelled(g, drawn(g, "train", options, n=REAL_PER_CLASS * len(classes)), classes)
