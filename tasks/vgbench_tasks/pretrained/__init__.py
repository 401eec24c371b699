"""In-domain accuracy: how well does a network that was pre-trained on a source know the source's own world?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Metric, Option, Part, Scores, TaskSpec, hookimpl, stages
from vgbench_tasks.datasets.toybox import drawn
from vgbench_tasks.pretrained.learner import CITATION, OPTIONS, answer, backbone, request

SCORER = Part("scorer", "top1", "1", "vgbench.metrics.classify:top1")
N_TEST = Option("n_test", "int", 2_000, "test images", minimum=1)


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Pre-train on the subject's images, test on unbiased images of the same kinds.

    Controls: the initialisation, and a training on permuted labels.
    """
    scores = answer(g, subject, options, "val", partial(stages.answered, scorer=SCORER, has_floor=False))
    if isinstance(subject, Backbone):
        return scores
    test = drawn(g, "val", options, n=options["n_test"])
    network = backbone(g, subject, options, permuted=True)
    pack = stages.pack(g, test.images, store_px=options["size_px"], labelled=False)
    answers = stages.predict(g, network, pack, subject.classes, recipe=g.part("recipe", options["recipe"]))
    permuted = stages.score(g, answers, test.labels, scorer=SCORER)
    return Scores(scores.score, {**scores.controls, "permuted_labels": permuted})


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name="toybox/val",
        version="1",
        summary="pre-train a network on the source's images, test it on unbiased images of Toybox's kinds",
        request=request,
        graph=graph,
        metrics=(Metric("top1", chance="1/C"), Metric("mean_per_class", chance="1/C")),
        scorer=SCORER.entry,
        options=(*OPTIONS, N_TEST),
        citation=CITATION,
    )
