"""The eight real sets of t-ReX's transfer protocol as lbGen reports them (protocols §3.6). No numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from vgbench import Backbone, CannotServe, Graph, Images, Metric, Option, Part, Scores, TaskSpec, UsageError
from vgbench_tasks.pretrained import imagenet
from vgbench_tasks.pretrained.learner import backbone
from vgbench_tasks.transfer.features import probed
from vgbench_tasks.transfer.known import KNOWN

SCORER = Part("scorer", "novel-top1", "1", "vgbench.metrics.novel:top1")
FRACTION = Option(
    "downstream_fraction",
    "float",
    1.0,
    "share of the training images of each downstream class",
    maximum=1,
    minimum=1e-4,
)
SHOTS = Option("shots", "int", None, "training images of each downstream class, in place of a share", minimum=1)
PROBE = "trex-sklearn"


@dataclass(frozen=True, slots=True)
class DownstreamSet:
    """A downstream set: its data set and class list, and what its splits are called."""

    dataset: str
    n_classes: int
    summary: str
    train: str = "trainval"
    test: str = "test"


SETS = {
    "aircraft": DownstreamSet("fgvc-aircraft-2013b-variants102", 100, "variants of aircraft"),
    "cars196": DownstreamSet("stanford-cars", 196, "models of cars"),
    "dtd": DownstreamSet("dtd", 47, "textures"),
    "eurosat": DownstreamSet("eurosat_clip", 10, "land use from space", train="trex-trainval", test="trex-test"),
    "flowers": DownstreamSet("oxford-flower-102", 102, "flowers"),
    "pets": DownstreamSet("oxford-iiit-pets", 37, "breeds of cats and dogs"),
    "food101": DownstreamSet("food-101", 101, "dishes"),
    "sun397": DownstreamSet("sun397", 397, "scenes"),
}


def graph(
    g: Graph,
    subject: Images | Backbone,
    options: Mapping[str, Any],
    *,
    of: DownstreamSet,
    classes: str | None = None,
) -> Scores:
    """Pre-train on the subject's images (a backbone is taken as it is), and probe its features on a downstream set.

    Features are of the central square at ``size_px``, bicubic, without a larger resize before the crop. ``classes``:
    the set's class list, where it is not called as the set. Raises ``UsageError`` for a share and shots together,
    ``CannotServe`` for fewer shots than the probe needs: before anything is looked for.
    """
    probe, shots, fraction = g.part("probe", options["probe"]), options["shots"], options["downstream_fraction"]
    if fraction != 1 and shots is not None:
        raise UsageError("downstream_fraction and shots both say how many training images are kept", hint="give one")
    fewest = probe.values.get("min_per_class", 1)
    if shots is not None and shots < fewest:
        raise CannotServe(f"probe {probe.name} needs {fewest} images of each class", hint="for example: logreg-path")
    network = subject if isinstance(subject, Backbone) else backbone(g, subject, options, store_px=options["store_px"])
    listed = classes or of.dataset
    known = KNOWN.get(listed, ())
    return probed(
        g,
        network,
        g.dataset(of.dataset, of.train),
        g.dataset(of.dataset, of.test),
        g.class_list(listed),
        size_px=options["size_px"],
        probe=probe,
        scorer=Part("scorer", SCORER.name, SCORER.version, SCORER.entry, {"known": list(known)} if known else {}),
        fraction=fraction,
        shots=shots,
    )


def tasks() -> Iterator[TaskSpec]:
    """Yield a task for each of the eight sets."""
    for name, of in SETS.items():
        chance = 1 / of.n_classes
        known = KNOWN.get(of.dataset, ())
        yield TaskSpec(
            name=f"transfer8/{name}",
            version="1",
            summary=f"features of a network pre-trained on the source, probed on {of.summary}",
            request=imagenet.request,
            graph=partial(graph, of=of),
            metrics=tuple(Metric(metric, chance=chance) for metric in ("top1", "mean_per_class", "top1_novel")),
            scorer=SCORER.entry,
            scorer_options={"known": list(known)} if known else {},
            labels=(of.dataset, of.test),
            options=(*imagenet.options(probe=PROBE), FRACTION, SHOTS),
            datasets=(of.dataset,),
            extra="trex",
            citation="Sarıyıldız et al., t-ReX, ICLR 2023; lbGen (arXiv 2412.10831), Table 1",
        )
