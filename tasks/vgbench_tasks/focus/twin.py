"""FOCUS on Toybox: the same objects with 0 to 3 of time, weather and location uncommon for their kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec
from vgbench.metrics.declared import context_metrics
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of, drawn
from vgbench_tasks.pretrained.learner import CITATION, OPTIONS, learner, request


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network name the objects, by its own classes."""
    from vgbench_tasks.focus import scores

    test = drawn(g, "focus", options, n=options["n_test"])
    taught = learner(g, subject, options)
    return scores(
        g,
        taught.answers(test.images),
        test.labels,
        scorer=Part("scorer", "focus", "1", ENTRY, {"n_classes": len(classes_of(g, options))}),
        untrained=taught.untrained(test.images) if taught.untrained else None,
    )


# Guessing is right as often as one of the world's kinds: 1/40 in the full world, 1/16 in the coarse one.
METRICS = tuple(
    replace(metric, chance="1/C" if metric.chance is not None else None) for metric in context_metrics(kinds.N_TRAINING)
)
ENTRY = "vgbench.metrics.bias:context_bias"
TASK = TaskSpec(
    name="toybox/focus",
    version="1",
    summary="how much accuracy is left in uncommon contexts? (Toybox)",
    request=request,
    graph=graph,
    metrics=METRICS,
    scorer=ENTRY,
    options=(*OPTIONS, Option("n_test", "int", 2_000, "objects, each in four contexts", minimum=1)),
    citation=CITATION,
)
