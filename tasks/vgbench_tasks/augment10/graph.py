"""augment10's graph, the same for ImageNet and for Toybox: a tenth of the real images, and the source's beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vgbench import Backbone, CannotServe, ClassList, DataRequest, Dataset, Graph, Images, Node, Part, Scores, stages
from vgbench_tasks.datasets.tenths import HELD, TRAIN, Share, pool

SCORER = Part("scorer", "top1", "1", "vgbench.metrics.classify:top1")


@dataclass(frozen=True, slots=True)
class Setting:
    """The real images: any share of the training set, and the test set.

    ``largest_tenth``: images in a tenth of the largest class, and so the most that a source is asked for at ratio 1;
    of smaller classes as much is left aside as their own tenth is smaller. ``store_px``: side of the training copy.
    """

    classes: ClassList
    share: Callable[[Share], Dataset]
    test: Dataset
    largest_tenth: int
    store_px: int


def request(g: Graph, setting: Setting, options: Mapping[str, Any]) -> DataRequest:
    """Ask for ``ratio`` times a tenth. The tenth's training images are the references: nothing else real is shown.

    The images held out and the test's are excluded. What ``original`` draws from is the tenths after the first.
    """
    ratio: int = options["ratio"]
    held, train = setting.share(HELD), setting.share(TRAIN)
    return DataRequest(
        setting.classes,
        max(1, ratio * setting.largest_tenth),  # at ratio 0 nothing of it is read, and so nothing is made
        references=stages.labelled(g, train, setting.classes),
        pool=stages.labelled(g, setting.share(pool(ratio)), setting.classes) if ratio else None,
        exclude=(setting.test.images, held.images),
    )


def graph(g: Graph, setting: Setting, subject: Images | Backbone, options: Mapping[str, Any]) -> Scores:
    """Train on the union to a plateau of the images held out; test. Controls: the initialisation, permuted labels."""
    if isinstance(subject, Backbone):
        raise CannotServe(
            "augment10 trains its own network on the union: a backbone trained elsewhere brings no images",
            hint="score its predictions: vgbench score augment10 FILE",
        )
    ratio: int = options["ratio"]
    held, train = setting.share(HELD), setting.share(TRAIN)
    taught = stages.labelled(g, train, setting.classes)
    if ratio:
        added = stages.proportion(g, subject, (held.labels, train.labels), ratio=ratio)
        taught = stages.union(g, {"real": taught, "source": added}, setting.classes)
    store_px = setting.store_px
    images = stages.pack(g, taught, store_px=store_px)
    val = stages.pack(g, stages.labelled(g, held, setting.classes), store_px=store_px)
    test = stages.pack(g, setting.test.images, store_px=store_px, labelled=False)
    recipe = g.part("recipe", options["recipe"])
    arch, arch_args = stages.architecture(g, options["backbone"])

    def scored(samples_seen: int, *, permute_labels: bool = False) -> Node:
        network = stages.trained_to_plateau(
            g,
            images,
            val,
            store_px=store_px,
            arch=arch,
            arch_args=arch_args,
            n_classes=len(setting.classes),
            recipe=recipe,
            samples_seen=samples_seen,
            permute_labels=permute_labels,
        )
        predictions = stages.predict(g, network, test, setting.classes, recipe=recipe)
        return stages.score(g, predictions, setting.test.labels, scorer=SCORER)

    budget: int = options["samples_seen"] or recipe.values.get("samples_seen", 0)
    if not budget:
        raise CannotServe(f"recipe {recipe.name} does not say how long it trains at most", hint="samples_seen=N")
    controls = {"random_init": scored(0), "permuted_labels": scored(budget, permute_labels=True)}
    return Scores(scored(budget), controls, uses_real_labels=True)
