"""In-domain accuracy: how well does a network that was pre-trained on a source know the classes that it was taught?

``toybox/val`` for Toybox's kinds, ``imagenet-val`` and ``imagenet100-val`` for ImageNet's validation images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Metric, Option, Part, Scores, TaskSpec, hookimpl, stages
from vgbench_tasks.datasets.toybox import drawn
from vgbench_tasks.pretrained import imagenet, toybox
from vgbench_tasks.pretrained.learner import learner

SCORER = Part("scorer", "top1", "1", "vgbench.metrics.classify:top1")
COVERED = Part("scorer", "covered-top1", "1", "vgbench.metrics.covered:top1")
METRICS = (Metric("top1", chance="1/C"), Metric("mean_per_class", chance="1/C"))
COVERED_METRICS = (*METRICS, Metric("coverage"))
N_TEST = Option("n_test", "int", 2_000, "test images", minimum=1)
PERMUTED = Option("permuted", "bool", False, "also train on permuted labels: a control that costs a second training")


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Pre-train on the subject's images, test on unbiased images of the same kinds.

    Controls: the initialisation, and a training on permuted labels.
    """
    scores = toybox.answer(g, subject, options, "val", partial(stages.answered, scorer=SCORER, has_floor=False))
    given = drawn(g, "val", options, n=options["n_test"])
    taught = learner(g, subject, toybox.curriculum(g, options), options)
    if taught.permuted is None:
        return scores
    permuted = stages.score(g, taught.permuted(given.images), given.labels, scorer=SCORER)
    return Scores(scores.score, {**scores.controls, "permuted_labels": permuted})


def imagenet_graph(
    g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, dataset: str, classes: str
) -> Scores:
    """Pre-train on the subject's images, test on other images of ImageNet's: of the classes that the head knows."""
    return imagenet.restricted(g, subject, options, dataset=dataset, classes=classes, scorer=COVERED)


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    yield TaskSpec(
        name="toybox/val",
        version="1",
        summary="pre-train a network on the source's images, test it on unbiased images of Toybox's kinds",
        request=toybox.request,
        graph=graph,
        metrics=METRICS,
        scorer=SCORER.entry,
        options=(*toybox.OPTIONS, N_TEST),
        citation=toybox.CITATION,
    )
    for name, dataset in (("imagenet-val", imagenet.IMAGENET), ("imagenet100-val", imagenet.IMAGENET100)):
        yield TaskSpec(
            name=name,
            version="1",
            summary=f"pre-train a network on the source's images, test it on the validation images of {dataset}",
            request=imagenet.request,
            graph=partial(imagenet_graph, dataset=dataset, classes=dataset),
            metrics=COVERED_METRICS,
            scorer=COVERED.entry,
            labels=(dataset, "test"),
            options=(*imagenet.options(classes=dataset), PERMUTED),
            datasets=(dataset,),
            extra="torch",
            citation="Russakovsky et al., IJCV 2015; lbGen (arXiv 2412.10831), Table 1",
        )
