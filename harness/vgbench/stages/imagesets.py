"""Image sets: chosen, joined, labelled, thinned, packed for training, drawn as a sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vgbench.types import ClassList, Dataset, Graph, Head, Images, Input, Node, Rate, StepRef

# Photographs (scikit-learn's two, cut into 40) decoded from JPEG and packed as PNG at 256 px on one of two cores.
PACKED, PACKED_PX, PHOTOGRAPHS_PX = Rate(40, 110_000), 256, 128

SELECT = StepRef("vgbench.select", "1", "vgbench.steps.select:select", rate=Rate(35_000, 110))
FINGERPRINT = StepRef(
    "vgbench.fingerprint", "1", "vgbench.steps.fingerprint:fingerprint_images", rate=Rate(2_000, 2_400)
)
UNION = StepRef("vgbench.union", "1", "vgbench.steps.union:union", rate=Rate(35_000, 110))
LABEL = StepRef("vgbench.label", "1", "vgbench.steps.label:label", rate=Rate(30_000, 110))
SUBSET = StepRef("vgbench.subset", "1", "vgbench.steps.subset:subset", seed="probe", rate=Rate(35_000, 110))
PACK = StepRef("vgbench.pack", "1", "vgbench.steps.pack:pack", rate=Rate(1_000, 8_000))
SHEET = StepRef("vgbench.sheet", "1", "vgbench.steps.sheet:sheet", rate=Rate(300, 20_000))
TRUTH = StepRef("vgbench.truth", "1", "vgbench.steps.truth:truth", rate=Rate(40_000, 30))
PROPORTION = StepRef("vgbench.proportion", "1", "vgbench.steps.proportion:proportion", rate=Rate(35_000, 110))


def select(
    g: Graph,
    found: Images | Sequence[Head],
    classes: ClassList,
    *,
    images_per_class: int | None,
    exclude: Sequence[Node] = (),
    finds_images: bool = False,
    partial: bool = False,
) -> Images:
    """Choose the images of a request: the first ``images_per_class`` of each class's node, or of a whole set.

    Of a whole set the lowest by SHA-256 of the image id are kept, so smaller requests nest in larger ones.
    Images whose bytes equal one of ``exclude`` are left out and counted; where a source ``finds_images``, also those
    that look the same (`vgbench.copies`). A class without an image is an error, unless the choice is ``partial``. A set
    may hold more classes than are asked for.
    """
    inputs: dict[str, Input] = {f"exclude/{i:04d}": node for i, node in enumerate(exclude)}
    if isinstance(found, Images):
        inputs["set"] = found
        members = found.members
    else:
        inputs |= {f"member/{i:04d}": head for i, head in enumerate(found)}
        members = tuple(found)
    if finds_images and exclude:
        here: dict[str, Input] = {"images": found} if isinstance(found, Images) else dict(inputs)
        prints = {name: given for name, given in here.items() if not name.startswith("exclude/")}
        inputs["prints"] = g.node(FINGERPRINT, inputs=prints)
        for i, node in enumerate(exclude):
            inputs[f"exclude_prints/{i:04d}"] = g.node(FINGERPRINT, inputs={"images": node})
    params: dict[str, Any] = {"class_ids": list(classes.ids), "images_per_class": images_per_class}
    if isinstance(found, Images) and found.classes.ids != classes.ids:
        params["set_class_ids"] = list(found.classes.ids)
    if partial:
        params["partial"] = True
    return Images(g.node(SELECT, inputs=inputs, params=params), members, classes)


def union(g: Graph, parts: Mapping[str, Images], classes: ClassList) -> Images:
    """Join image sets of one class list: an index over the members of all; image ids get their part's name ahead."""
    inputs: dict[str, Input] = {f"part-{name}": part for name, part in parts.items()}
    members = tuple(member for _, part in sorted(parts.items()) for member in part.members)
    return Images(g.node(UNION, inputs=inputs, params={"class_ids": list(classes.ids)}), members, classes)


def proportion(g: Graph, images: Images, like: Sequence[Node], *, ratio: int) -> Images:
    """Keep, class by class, the first images: ``ratio`` times as many as the labels of real splits ``like`` name."""
    inputs: dict[str, Input] = {"set": images, **{f"like/{i:04d}": node for i, node in enumerate(like)}}
    index = g.node(PROPORTION, inputs=inputs, params={"class_ids": list(images.classes.ids), "ratio": ratio})
    return Images(index, images.members, images.classes)


def sheet(g: Graph, images: Images, *, images_per_class: int, title: str, cut: Mapping[str, int]) -> Node:
    """Draw an image set's contact sheet: each class's name and its images; ``cut`` says what was left out of it."""
    classes = [[entry.id, entry.name] for entry in images.classes.classes]
    params = {"classes": classes, "images_per_class": images_per_class, "title": title, "cut": dict(cut)}
    return g.node(SHEET, inputs={"images": images}, params=params)


def labelled(g: Graph, dataset: Dataset, classes: ClassList) -> Images:
    """Join a real split's images with its labels: an image set that a source may use as references."""
    inputs: dict[str, Input] = {"images": dataset.images, "labels": dataset.labels}
    index = g.node(LABEL, inputs=inputs, params={"class_ids": list(classes.ids)})
    return Images(index, (dataset.images,), classes)


def pack(
    g: Graph, images: Images | Node, *, store_px: int, labelled: bool = True, resize_px: int | None = None
) -> Node:
    """Make the training copy of an image set; with ``labelled=False`` what a test set's images travel as.

    A data set's images without labels are such a set. ``resize_px``: the shorter side becomes this long before the
    central ``store_px`` are cut out (256 and 224 for ImageNet's tests); without it the central square is resized.
    """
    params: dict[str, Any] = {"store_px": store_px, "labelled": labelled}
    if resize_px is not None and resize_px != store_px:
        params["resize_px"] = resize_px
    rate = _of_photographs(store_px) if store_px >= PHOTOGRAPHS_PX else PACK.rate
    return g.node(replace(PACK, rate=rate), inputs={"images": images}, params=params)


def _of_photographs(store_px: int) -> Rate:
    """Return the rate of packing photographs: pixels cost the same at every size."""
    share = (store_px / PACKED_PX) ** 2
    return Rate(PACKED.items_per_second / share, PACKED.bytes_per_item * share)


def subset(g: Graph, images: Images, *, fraction: float = 1.0, shots: int | None = None, least: int = 1) -> Images:
    """Keep some of each class's images: a fraction, or ``shots``. One draw for each probe seed; smaller ones nest.

    All of them is the set itself: its draws are equal. A class of which fewer than ``least`` are kept is an error.
    """
    if fraction == 1 and shots is None:
        return images
    params = {"fraction": fraction, "shots": shots, "least": least, "class_ids": list(images.classes.ids)}
    return Images(g.node(SUBSET, inputs={"images": images}, params=params), images.members, images.classes)


def truth(g: Graph, images: Images) -> Node:
    """Take an image set's labels apart from its images, for scoring."""
    return g.node(TRUTH, inputs={"images": images}, params={"class_ids": list(images.classes.ids)})
