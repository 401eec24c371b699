"""Background gap on Toybox: the same objects before the background typical of their kind, and of others only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec, stages
from vgbench.metrics.declared import background_metrics
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of
from vgbench_tasks.pretrained.toybox import CITATION, OPTIONS, answer, request

ENTRY = "vgbench.metrics.bias:background_gap"


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network name the objects, by its own classes."""
    scorer = Part("scorer", "background-gap", "2", ENTRY, {"n_classes": len(classes_of(g, options))})
    return answer(g, subject, options, "background-pair", partial(stages.answered, scorer=scorer))


TASK = TaskSpec(
    name="toybox/background-gap",
    version="1",
    summary="what is lost before a background of other kinds? (Toybox)",
    request=request,
    graph=graph,
    metrics=background_metrics(kinds.N_TRAINING, chance="1/C"),
    scorer=ENTRY,
    options=(*OPTIONS, Option("n_test", "int", 2_000, "objects, each before two backgrounds", minimum=1)),
    citation=CITATION,
)
