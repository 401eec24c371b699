"""Background gap on Toybox: the same objects before the background typical of their kind, and of others only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec
from vgbench.metrics.declared import background_metrics
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of, drawn
from vgbench_tasks.pretrained.learner import CITATION, OPTIONS, learner, request


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network name the objects, by its own classes."""
    from vgbench_tasks.background_gap import scores

    test = drawn(g, "background-pair", options, n=options["n_test"])
    taught = learner(g, subject, options)
    return scores(
        g,
        taught.answers(test.images),
        test.labels,
        scorer=Part("scorer", "background-gap", "1", ENTRY, {"n_classes": len(classes_of(g, options))}),
        untrained=taught.untrained(test.images) if taught.untrained else None,
    )


# Guessing is right as often as one of the world's kinds: 1/40 in the full world, 1/16 in the coarse one.
METRICS = tuple(
    replace(metric, chance="1/C" if metric.chance is not None else None)
    for metric in background_metrics(kinds.N_TRAINING)
)
ENTRY = "vgbench.metrics.bias:background_gap"
TASK = TaskSpec(
    name="toybox/background-gap",
    version="1",
    summary="what is lost before a background of other kinds? (Toybox)",
    request=request,
    graph=graph,
    metrics=METRICS,
    scorer=ENTRY,
    options=(*OPTIONS, Option("n_test", "int", 2_000, "objects, each before two backgrounds", minimum=1)),
    citation=CITATION,
)
