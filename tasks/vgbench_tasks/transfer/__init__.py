"""Transfer: what are a pre-trained network's frozen features worth for classes that it has never seen?

One task for each of Toybox's downstream sets, and a suite of all; the network is trained once for the whole suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from vgbench import (
    Backbone,
    ClassListSpec,
    Graph,
    Images,
    Metric,
    Option,
    Part,
    Scores,
    SuiteSpec,
    TaskSpec,
    hookimpl,
    stages,
)
from vgbench_tasks.datasets.toybox import drawn
from vgbench_tasks.pretrained.learner import CITATION, OPTIONS, backbone, request

SCORER = Part("scorer", "top1", "1", "vgbench.metrics.classify:top1")
SHOTS = Option("shots", "int", 50, "training images of each downstream class", minimum=1)
N_TEST = Option("n_test", "int", 50, "test images of each downstream class", minimum=1)
SETS = {  # their concept and number of classes; the sets themselves are vgbench.toybox.downstream's
    "tools": ("common: things of the kitchen and the workshop", 10),
    "creatures": ("common: animals", 10),
    "stars": ("fine-grained: stars by the number of their points", 6),
    "leaves": ("fine-grained: leaves by their outline", 6),
    "fishes": ("fine-grained: fishes by body, tail and fins", 6),
    "patterns": ("texture-like: patterns that fill the image", 10),
    "coats": ("texture-like: patterns on any object", 10),
}


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, name: str) -> Scores:
    """Pre-train on the subject's images (a backbone is taken as it is), and probe its features on a downstream set."""
    network = subject if isinstance(subject, Backbone) else backbone(g, subject, options)
    classes = g.class_list(f"toybox-{name}")
    train = drawn(g, f"downstream/{name}/train", options, n=options["shots"])
    test = drawn(g, f"downstream/{name}/test", options, n=options["n_test"])
    size_px: int = options["size_px"]
    return stages.probed(
        g,
        stages.features(g, stages.pack(g, stages.labelled(g, train, classes), store_px=size_px), network),
        stages.features(g, stages.pack(g, test.images, store_px=size_px, labelled=False), network),
        classes,
        probe=g.part("probe", options["probe"]),
        labels=test.labels,
        scorer=SCORER,
    )


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    for name, (summary, n_classes) in SETS.items():
        yield TaskSpec(
            name=f"toybox/transfer/{name}",
            version="1",
            summary=f"features of a network pre-trained on the source, probed on {summary}",
            request=request,
            graph=partial(graph, name=name),
            metrics=(Metric("top1", chance=1 / n_classes), Metric("mean_per_class", chance=1 / n_classes)),
            scorer=SCORER.entry,
            options=(*OPTIONS, SHOTS, N_TEST),
            citation=CITATION,
        )


@hookimpl
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    tasks = tuple(f"toybox/transfer/{name}" for name in SETS)
    yield SuiteSpec("toybox/transfer", "frozen features on Toybox's downstream sets of novel classes", tasks)


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    for name, (summary, _) in SETS.items():
        yield ClassListSpec(f"toybox-{name}", summary, f"vgbench_tasks.transfer:{name}.json")
