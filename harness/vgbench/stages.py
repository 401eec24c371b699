"""The graph pieces that tasks share. Only here do core steps get default params, so equal work gets equal digests."""

from __future__ import annotations

from collections.abc import Sequence

from vgbench.types import (
    Backbone,
    ClassList,
    Dataset,
    Graph,
    Head,
    Images,
    Input,
    Node,
    Part,
    Rate,
    StepRef,
)

PERMUTATIONS = 20  # label permutations of a probe's control (design §2)

# Rates: measured on digits on one core of the 2-core reference machine; networks with recipe digits-small.
SELECT = StepRef("vgbench.select", "1", "vgbench.steps.select:select", rate=Rate(35_000, 110))
LABEL = StepRef("vgbench.label", "1", "vgbench.steps.label:label", rate=Rate(30_000, 110))
EMBED = StepRef("vgbench.embed", "1", "vgbench.steps.embed:embed", rate=Rate(20_000, 290))
PROBE = StepRef("vgbench.probe", "1", "vgbench.steps.probe:probe", seed="probe", rate=Rate(10_000, 60))
PRETRAIN = StepRef("vgbench.pretrain", "1", "vgbench.steps.pretrain:pretrain", seed="train", gpu=True, rate=Rate(1_200))
PREDICT = StepRef("vgbench.predict", "1", "vgbench.steps.predict:predict", gpu=True, rate=Rate(2_700, 72))
SCORE = StepRef("vgbench.score", "1", "vgbench.steps.score:score", rate=Rate(43_000, 75))


def select(
    g: Graph,
    found: Images | Sequence[Head],
    classes: ClassList,
    *,
    images_per_class: int | None,
    exclude: Sequence[Node] = (),
) -> Images:
    """Choose the images of a request: the first ``images_per_class`` of each class's node, or of a whole set.

    Of a whole set the lowest by SHA-256 of the image id are kept, so smaller requests nest in larger ones.
    Images whose bytes equal one of ``exclude`` are left out and counted.
    """
    inputs: dict[str, Input] = {f"exclude/{i:04d}": node for i, node in enumerate(exclude)}
    if isinstance(found, Images):
        inputs["set"] = found
        members = found.members
    else:
        inputs |= {f"member/{i:04d}": head for i, head in enumerate(found)}
        members = tuple(found)
    params = {"class_ids": list(classes.ids), "images_per_class": images_per_class}
    return Images(g.node(SELECT, inputs=inputs, params=params), members, classes)


def labelled(g: Graph, dataset: Dataset, classes: ClassList) -> Images:
    """Join a real split's images with its labels: an image set that a source may use as references."""
    inputs: dict[str, Input] = {"images": dataset.images, "labels": dataset.labels}
    index = g.node(LABEL, inputs=inputs, params={"class_ids": list(classes.ids)})
    return Images(index, (dataset.images,), classes)


def features(g: Graph, pack: Node, encoder: Part) -> Node:
    """Embed a training copy with an encoder: ``features.npy`` (N, D) float32 and its rows."""
    return g.node(EMBED, inputs={"images": pack}, params={"encoder": encoder})


def probe(g: Graph, train: Node, test: Node, classes: ClassList, *, probe: Part, permutations: int = 0) -> Node:
    """Fit a probe on labelled features and predict the test features.

    With ``permutations`` > 0 it is the control: that many fits, each on permuted training labels.
    """
    params = {"probe": probe, "class_ids": list(classes.ids), "permutations": permutations}
    return g.node(PROBE, inputs={"train": train, "test": test}, params=params)


def backbone(
    g: Graph,
    subject: Node | Backbone,
    *,
    arch: str,
    n_classes: int,
    recipe: Part,
    samples_seen: int,
    permute_labels: bool = False,
) -> Backbone:
    """Pre-train a backbone on a training copy. ``samples_seen=0`` is the random initialisation, untouched.

    A subject that already is a backbone passes through.
    """
    if isinstance(subject, Backbone):
        return subject
    params = {
        "arch": arch,
        "arch_args": {},
        "n_classes": n_classes,
        "recipe": recipe,
        "samples_seen": samples_seen,
        "permute_labels": permute_labels,
    }
    return Backbone(g.node(PRETRAIN, inputs={"images": subject}, params=params))


def predict(g: Graph, network: Backbone, pack: Node, classes: ClassList, *, recipe: Part) -> Node:
    """Predict a training copy's classes with a network's own head."""
    params = {"class_ids": list(classes.ids), **{k: recipe.values[k] for k in ("dtype", "threads")}, "batch": 256}
    return g.node(PREDICT, inputs={"backbone": network, "images": pack}, params=params)


def score(g: Graph, predictions: Node, labels: Node, *, scorer: Part) -> Node:
    """Score predictions against the labels of a real split."""
    return g.node(SCORE, inputs={"predictions": predictions, "labels": labels}, params={"scorer": scorer})
