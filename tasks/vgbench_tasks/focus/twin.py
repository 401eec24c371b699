"""FOCUS on Toybox: the same objects with 0 to 3 of time, weather and location uncommon for their kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec, stages
from vgbench.metrics.declared import context_metrics
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of
from vgbench_tasks.pretrained.toybox import CITATION, OPTIONS, answer, request

ENTRY = "vgbench.metrics.bias:context_bias"


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network name the objects, by its own classes."""
    scorer = Part("scorer", "focus", "1", ENTRY, {"n_classes": len(classes_of(g, options))})
    return answer(g, subject, options, "focus", partial(stages.answered, scorer=scorer))


TASK = TaskSpec(
    name="toybox/focus",
    version="1",
    summary="how much accuracy is left in uncommon contexts? (Toybox)",
    request=request,
    graph=graph,
    metrics=context_metrics(kinds.N_TRAINING, chance="1/C"),
    scorer=ENTRY,
    options=(*OPTIONS, Option("n_test", "int", 2_000, "objects, each in four contexts", minimum=1)),
    citation=CITATION,
)
