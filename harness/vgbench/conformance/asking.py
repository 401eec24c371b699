"""How graphs are asked for: a request to try a source with, and graph functions called as the planner calls them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgbench import stages
from vgbench.errors import NotObserved
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Chosen, Registry
from vgbench.types import (
    Axis,
    Backbone,
    ClassList,
    DataRequest,
    Head,
    Images,
    Node,
    Scores,
    SourceSpec,
    StepRef,
    TaskSpec,
)

if TYPE_CHECKING:
    from vgbench.conformance.child import Watch

N_CLASSES = 3  # a mock run's (design §7, after mteb); more says nothing new
N_IMAGES = 2
SUBJECT = StepRef("vgbench.any_image_set", "1", "")  # stands for any source's images
CORE_LOOKS = (
    "class_list",
    "dataset",
    "weights",
    "path",
    "part",
    "images",
    "recipe",
)  # what the builder reads for an author


@dataclass(frozen=True, slots=True)
class Ask:
    """What a source is asked for: the first ``n`` images of some classes of a list, with or without references."""

    classes: str
    ids: tuple[str, ...]
    references: bool
    n: int = 5

    def request(self, g: Builder, registry: Registry) -> DataRequest:
        """Return the request; its references are the images of a data set of this class list that is here."""
        whole = registry.class_list(self.classes)
        kept = tuple(entry for entry in whole.classes if entry.id in self.ids)
        classes = ClassList(whole.name, whole.version, kept) if self.ids else whole
        references = references_of(g, registry, whole) if self.references else None
        return DataRequest(classes, self.n, references=references)


@dataclass(frozen=True, slots=True)
class Built:
    """A source's graph: one node for each class, or an image set, or a backbone; and the selected image set."""

    request: DataRequest
    members: tuple[Node, ...]
    found: Images | None = None
    images: Images | None = None

    @property
    def digests(self) -> list[str]:
        index = [self.images.index.digest] if self.images else []
        return [node.digest for node in self.members] + index


def build(g: Builder, chosen: Chosen[SourceSpec], request: DataRequest) -> Built:
    """Call a source's graph function the way the planner does."""
    spec = chosen.spec
    if spec.backbone_graph is not None:
        return Built(request, (g.backbone_of(chosen).weights,))
    images = g.images_of(chosen, request)
    members = tuple(member.node if isinstance(member, Head) else member for member in images.members)
    found = None
    if spec.set_graph is not None:  # as the source gave it, before anything is selected
        with g.running(f"{chosen.distribution}::{spec.name}", chosen.distribution):
            found = spec.set_graph(g, request, chosen.options)
    return Built(request, members, found, images)


def references_of(g: Builder, registry: Registry, classes: ClassList) -> Images | None:
    """Return real images of a class list, from the first data set that is here; None where there is none."""
    for offer in registry.datasets:
        if offer.spec.classes == classes.name:
            split = "train" if "train" in offer.spec.splits else next(iter(offer.spec.splits))
            with contextlib.suppress(NotObserved):
                return stages.labelled(g, g.dataset(offer.spec.name, split), classes)
    return None


def build_task(g: Builder, chosen: Chosen[TaskSpec], *, member: str = "a", backbone: bool = False) -> Scores:
    """Call a task's graph function with a placeholder for its subject."""
    with g.running("scoring", chosen.distribution):
        request = chosen.spec.request(g, chosen.options)
        node = g.node(SUBJECT, params={"member": member})
        subject: Images | Backbone = Backbone(node) if backbone else Images(node, (), request.classes)
        return chosen.spec.graph(g, subject, chosen.options)


def digests_of(job: Mapping[str, Any], kept: dict[str, Any], *, watch: Watch | None = None) -> list[str]:
    """Build what a job describes and return its digests; with ``watch`` the plugin's own code is looked at."""
    registry: Registry = kept.setdefault("registry", None) or Registry()
    kept["registry"] = registry
    locator: Locator = kept.setdefault("locator", Locator())
    seeds: dict[Axis, int] = job["seeds"]
    g = Builder(registry, locator, seeds)
    looking = contextlib.nullcontext()
    if watch is not None:
        for name in CORE_LOOKS:
            setattr(g, name, _looking_away(watch, getattr(g, name)))
    if job["kind"] == "source":
        chosen = registry.source(job["text"])
        if job["ask"] is None:
            request = NO_REQUEST
        else:
            ask = job["ask"]
            request = Ask(ask["classes"], tuple(ask["ids"]), ask["references"], ask["n"]).request(g, registry)
        with watch.on("graph") if watch else looking:
            return build(g, chosen, request).digests
    task = registry.task(job["text"])[0]
    with watch.on("graph") if watch else looking:
        scores = build_task(g, task)
    return [scores.score.digest, *(node.digest for _, node in sorted(scores.controls.items()))]


NO_REQUEST = DataRequest(ClassList("none", "1", ()), None)  # what a backbone is asked for


def _looking_away(watch: Watch, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        with watch.on(None):
            return method(*args, **named)

    return call
