"""The class lists of the real data sets, as JSON beside this module, and the order in which their copies count classes.

A list stands in ELEVATER's order where ELEVATER has the data set, so that a position is ELEVATER's label. An id is the
data's own class name (wnid, folder, label), with ``/`` written as ``-`` and anything else that no file name should hold
as ``_``. ``docs/class-lists.md`` says where every list was read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from vgbench import ClassListSpec, hookimpl
from vgbench.errors import unknown

SUMMARIES = {
    "caltech-101": "101 kinds of objects and a background class",
    "caltech-256": "256 kinds of objects, without the clutter",
    "cifar-10": "ten animals and vehicles",
    "cifar-100": "100 animals, plants, people, things and places",
    "country211": "the 211 countries a photo was taken in",
    "dtd": "47 textures by the adjective that describes them",
    "eurosat_clip": "ten kinds of land use, in CLIP's words",
    "fer-2013": "seven expressions of faces",
    "fgvc-aircraft-2013b-variants102": "100 aircraft variants",
    "food-101": "101 dishes",
    "gtsrb": "43 German traffic signs, in CLIP's words",
    "hateful-memes": "memes, hateful or not",
    "imagenet-1k": "ILSVRC 2012's 1,000 synsets by wnid, with CLIP's names",
    "imagenet-100": "100 synsets of ImageNet-1k, as drawn for CMC",
    "imagenet-a": "the 200 synsets of ImageNet-A",
    "imagenet-r": "the 200 synsets of ImageNet-R",
    "kitti-distance": "how near the closest vehicle is, in four steps",
    "mnist": "the ten digits",
    "objectnet": "ObjectNet's 113 classes that ImageNet-1k has too, with their wnids",
    "oxford-flower-102": "102 flowers",
    "oxford-iiit-pets": "37 breeds of cats and dogs",
    "patch-camelyon": "lymph nodes with tumor tissue or without",
    "rendered-sst2": "film reviews, negative or positive",
    "resisc45_clip": "45 kinds of scenes seen from above",
    "stanford-cars": "196 cars by make, model and year",
    "sun397": "397 kinds of places",
    "voc-2007-classification": "Pascal VOC's 20 kinds of objects",
}


@hookimpl
def vgbench_offer_class_lists() -> Iterable[ClassListSpec]:
    for name, summary in SUMMARIES.items():
        yield ClassListSpec(name, summary, f"vgbench_tasks.datasets:classes/{name}.json")


def upstream(dataset: str, layout: str) -> tuple[str, ...]:
    """Return a data set's class ids in the order in which one layout of its copies numbers them from 0.

    Only orders that differ from the class list's are kept. Raises ``UnknownName`` for any other.
    """
    orders = json.loads((Path(__file__).parent / "classes" / "upstream.json").read_text())
    layouts = orders.get(dataset, {})
    if layout not in layouts:
        raise unknown(f"class order of {dataset}", layout, layouts)
    return tuple(layouts[layout])
