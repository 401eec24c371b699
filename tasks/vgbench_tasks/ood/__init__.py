"""Out of distribution: what is left of a network's accuracy on other images of ImageNet's classes?

ImageNet-V2 (matched frequency), -R, -Sketch, -A, and ObjectNet. A test of 200 classes restricts the head to these, a
class of ObjectNet is any of the ImageNet classes that its own table lists. See docs/pretraining-tasks.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from vgbench import SuiteSpec, TaskSpec, hookimpl
from vgbench_tasks.ood import twin
from vgbench_tasks.pretrained import COVERED, COVERED_METRICS, imagenet, imagenet_graph


@dataclass(frozen=True, slots=True)
class Shift:
    """A test set: its data set's class list, what its images are, and where it was published."""

    classes: str
    summary: str
    citation: str


SHIFTS = {
    "imagenet-v2": Shift("imagenet-1k", "new photographs for ImageNet's classes", "Recht et al., ICML 2019"),
    "imagenet-r": Shift("imagenet-r", "renditions of 200 of ImageNet's classes", "Hendrycks et al., ICCV 2021"),
    "imagenet-sketch": Shift("imagenet-1k", "sketches of ImageNet's classes", "Wang et al., NeurIPS 2019"),
    "imagenet-a": Shift("imagenet-a", "photographs that a ResNet-50 gets wrong", "Hendrycks et al., CVPR 2021"),
    "objectnet": Shift("objectnet", "objects from unusual sides", "Barbu et al., NeurIPS 2019"),
}


@hookimpl
def vgbench_offer_tasks() -> Iterable[TaskSpec]:
    for name, shift in SHIFTS.items():
        yield TaskSpec(
            name=f"ood/{name}",
            version="1",
            summary=f"a network pre-trained on the source's images, tested on {shift.summary}",
            request=imagenet.request,
            graph=partial(imagenet_graph, dataset=name, classes=shift.classes),
            metrics=COVERED_METRICS,
            scorer=COVERED.entry,
            labels=(name, "test"),
            options=imagenet.options(),
            datasets=(name,),
            extra="torch",
            citation=shift.citation,
        )
    yield from twin.tasks()


@hookimpl
def vgbench_offer_suites() -> Iterable[SuiteSpec]:
    yield SuiteSpec("ood", "other test images of ImageNet's classes", tuple(f"ood/{name}" for name in SHIFTS))
    yield twin.SUITE
