"""Cue conflict on Toybox: the shape of one coarse kind in the typical texture of another, and pairs for the gap."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec, stages
from vgbench.metrics.declared import texture_metrics
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of
from vgbench_tasks.pretrained.toybox import CITATION, OPTIONS, answer, request

ENTRY = "vgbench.metrics.bias:cue_conflict"
SCORER = Part("scorer", "cue-conflict", "2", ENTRY, {"n_classes": kinds.N_COARSE})


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network choose among the 16 coarse kinds, whatever other kinds its head has."""
    scores = partial(stages.answered, scorer=SCORER, categories=_coarse(g, options), rule="mean")
    return answer(g, subject, options, "cue-conflict", scores)


def _coarse(g: Graph, options: Mapping[str, Any]) -> stages.Categories:
    coarse = set(kinds.NAMES[: kinds.N_COARSE])
    return [(name, (position,)) for position, name in enumerate(classes_of(g, options).ids) if name in coarse]


TASK = TaskSpec(
    name="toybox/cue-conflict",
    version="1",
    summary="does a network pre-trained on the source go by shape or by texture? (Toybox)",
    request=request,
    graph=graph,
    metrics=texture_metrics(kinds.N_COARSE, gap=True),
    scorer=ENTRY,
    options=(*OPTIONS, Option("n_test", "int", 2_000, "trials, and pairs for the texture gap", minimum=1)),
    citation=CITATION,
)
