"""Transfer on Toybox: downstream sets of novel classes, drawn in worlds of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Metric, Option, Part, Scores, TaskSpec
from vgbench_tasks.datasets.toybox import drawn
from vgbench_tasks.pretrained.learner import backbone
from vgbench_tasks.pretrained.toybox import CITATION, OPTIONS, request
from vgbench_tasks.transfer.features import probed

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
    network = subject if isinstance(subject, Backbone) else backbone(g, subject, options, store_px=options["size_px"])
    return probed(
        g,
        network,
        drawn(g, f"downstream/{name}/train", options, n=options["shots"]),
        drawn(g, f"downstream/{name}/test", options, n=options["n_test"]),
        g.class_list(f"toybox-{name}"),
        size_px=options["size_px"],
        probe=g.part("probe", options["probe"]),
        scorer=SCORER,
    )


def tasks() -> Iterator[TaskSpec]:
    """Yield a task for each of Toybox's downstream sets."""
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
