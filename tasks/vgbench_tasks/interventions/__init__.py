"""Interventions: how often does a network change its answer when one factor of the image alone is changed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Part, Scores, TaskSpec, hookimpl, stages
from vgbench.metrics.declared import flip_metrics
from vgbench_tasks.pretrained.toybox import CITATION, OPTIONS, answer, request

SCORER = Part("scorer", "flips", "1", "vgbench.metrics.bias:flips")


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Let the taught network name unbiased images, and the same with another texture, background, context, colour."""
    return answer(g, subject, options, "interventions", partial(stages.answered, scorer=SCORER, has_floor=False))


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name="toybox/interventions",
        version="1",
        summary="how often do answers flip when one factor alone is changed? (Toybox)",
        request=request,
        graph=graph,
        metrics=flip_metrics(),
        scorer=SCORER.entry,
        options=(*OPTIONS, Option("n_test", "int", 2_000, "unbiased images, each changed in four ways", minimum=1)),
        citation=CITATION,
    )
