"""Transfer's graph from a network on: its frozen features of a downstream set, or a part of it, and a probe."""

from __future__ import annotations

from vgbench import Backbone, ClassList, Dataset, Graph, Part, Scores, stages


def probed(
    g: Graph,
    network: Backbone,
    train: Dataset,
    test: Dataset,
    classes: ClassList,
    *,
    size_px: int,
    probe: Part,
    scorer: Part,
    fraction: float = 1.0,
    shots: int | None = None,
) -> Scores:
    """Probe a network's features of a set's training images, or of some of each class, and score its test images.

    The features of all training images are the same node as without ``fraction`` or ``shots`` only where all are kept:
    fewer images are fewer features to extract.
    """
    teaching = stages.subset(
        g,
        stages.labelled(g, train, classes),
        fraction=fraction,
        shots=shots,
        least=probe.values.get("min_per_class", 1),
    )
    return stages.probed(
        g,
        stages.features(g, stages.pack(g, teaching, store_px=size_px), network),
        stages.features(g, stages.pack(g, test.images, store_px=size_px, labelled=False), network),
        classes,
        probe=probe,
        labels=test.labels,
        scorer=scorer,
    )
