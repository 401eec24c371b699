"""Out of distribution on Toybox: other images of its kinds, through the graph of the real tests.

Two of the three tests hold the 16 coarse kinds alone, so that a head of 40 is restricted to them, as one of ImageNet's
1,000 classes is for ImageNet-A and -R.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vgbench import Backbone, Graph, Images, Option, Scores, SuiteSpec, TaskSpec
from vgbench.toybox import kinds
from vgbench_tasks.datasets.toybox import classes_of, drawn
from vgbench_tasks.pretrained import COVERED, COVERED_METRICS, toybox
from vgbench_tasks.pretrained.learner import learner
from vgbench_tasks.pretrained.restricted import restricted

# Each drawn set (vgbench.toybox.sets), whether it holds the coarse kinds alone, and what its images are.
SHIFTS = {
    "sketches": (False, "objects on plain grey in a texture of no kind"),
    "renditions": (True, "the coarse kinds in others' textures and backgrounds"),
    "poses": (True, "the coarse kinds, turned and covered as far as the dials go"),
}
N_TEST = Option("n_test", "int", 2_000, "test images", minimum=1)


def graph(g: Graph, subject: Images | Backbone, options: Mapping[str, Any], *, name: str) -> Scores:
    """Pre-train on the subject's images, test on a shift of the world: of the kinds that head and test know."""
    listed = classes_of(g, options)
    if SHIFTS[name][0]:
        coarse = set(kinds.NAMES[: kinds.N_COARSE])
        listed = replace(listed, name="toybox16", classes=tuple(c for c in listed.classes if c.id in coarse))
    taught = learner(g, subject, toybox.curriculum(g, options), options)
    return restricted(g, taught, drawn(g, name, options, n=options["n_test"]), listed, scorer=COVERED)


def tasks() -> Iterable[TaskSpec]:
    """Yield the task of each shift."""
    for name, (_, summary) in SHIFTS.items():
        yield TaskSpec(
            name=f"toybox/ood/{name}",
            version="1",
            summary=f"a network pre-trained on the source's images, tested on {summary}",
            request=toybox.request,
            graph=partial(graph, name=name),
            metrics=COVERED_METRICS,
            scorer=COVERED.entry,
            options=(*toybox.OPTIONS, N_TEST),
            citation=toybox.CITATION,
        )


SUITE = SuiteSpec("toybox/ood", "other images of Toybox's kinds", tuple(f"toybox/ood/{name}" for name in SHIFTS))
