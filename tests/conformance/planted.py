"""Plugins that each break one rule, written as a third party would."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from textwrap import dedent

OFFER = """
from vgbench import CannotServe, Head, Images, Option, Sees, SourceSpec, StepRef, hookimpl

STEP = StepRef("vgbench-planted.draw", "1", "planted_work:draw", seed="source", shards="index:micro_batch")
MICRO_BATCH = Option("micro_batch", "int", 64, "images in a shard", minimum=1)


def params(entry, request, options):
    return {"digit": int(entry.id.removeprefix("digit-")), **options}


def draw(g, entry, request, options):
    if not entry.id.startswith("digit-"):
        raise CannotServe("digits only")
    return g.node(STEP, params=params(entry, request, options))


def find(g, request, options):
    node = g.node(STEP, params={"n_classes": len(request.classes)})
    return Images(node, (node,), request.classes)


GRAPHS = {"class_graph": draw}


@hookimpl
def vgbench_offer_sources():
    yield SourceSpec(
        name="planted", summary="noise", kind="rendered", sees=Sees("class names"), options=(MICRO_BATCH,),
        citation="none", license="CC0-1.0", generator_training_data="none: noise", **GRAPHS,
    )
"""
WORK = """
import numpy as np
from vgbench import Made
from vgbench.images import ImageRow, encode_png, write_index, write_shard


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)


def made(rows, class_id):
    return Made(len(rows), {class_id: len(rows)})


def draw(step):
    class_id = f"digit-{step.params['digit']}"
    rows = []
    for index in step.range(step.params["micro_batch"]):
        seed = step.image_seed(index)
        image = encode_png(pixels(seed))
        rows.append(ImageRow(image, index, f"{class_id}-{index}", 8, 8, class_id=class_id, seed=seed))
    write_shard(step.out, rows)
    return made(rows, class_id)
"""
SET_GRAPH = """
from dataclasses import replace
STEP = replace(STEP, seed=None, shards="one")
GRAPHS = {"set_graph": find}
"""
SET_WORK = """
def draw(step):
    labels = [i % step.params["n_classes"] for i in range(60)]
    rows = [ImageRow(encode_png(pixels(i)), i, f"image-{i}", 8, 8) for i in range(60)]
    write_shard(step.out, rows)
    write_index(step.out, [(r.image_id, LABEL(label), 0, 0, i, __import__("hashlib").sha256(r.data).hexdigest())
                           for i, (r, label) in enumerate(zip(rows, labels))])
    return Made(60)
"""

TASK = """
from vgbench import DataRequest, Metric, Option, Part, Scores, TaskSpec, hookimpl, stages

ENCODER = Part("encoder", "planted-pixels", "1", "planted_work:encode")
SCORER = "planted_work:score"
METRICS = (Metric("top1", chance="1/C"), Metric("mean_per_class", chance=0.1))


def request(g, options):
    return DataRequest(g.class_list("digits"), options["images_per_class"])


def pack(g, images):
    return g.node(stages.PACK, inputs={"images": images}, params={"store_px": 8, "labelled": True})


def graph(g, subject, options):
    test = g.dataset("digits", "test")
    return stages.probed(
        g,
        stages.features(g, pack(g, subject), ENCODER),
        stages.features(g, pack(g, test.images), ENCODER),
        g.class_list("digits"),
        probe=g.part("probe", "logreg"),
        labels=test.labels,
        scorer=Part("scorer", "planted", "1", SCORER),
    )


@hookimpl
def vgbench_offer_tasks():
    count = Option("images_per_class", "count", 5, "images asked of the source for each class", axis="row")
    yield TaskSpec("planted", "1", "read digits", request, graph, METRICS, SCORER, labels=("digits", "test"),
                   options=(count,), datasets=("digits",), citation="none")
"""
TASK_WORK = """
import numpy as np
from vgbench.metrics.classify import top1 as score


def encode(pack, step):
    return np.stack([pack.pixels(i).reshape(-1) / np.float32(255) for i in range(len(pack))])
"""


def write_plugin(folder: Path, *, offer: str = "", work: str = "", task: bool = False) -> metadata.EntryPoint:
    """Write the distribution ``vgbench-planted`` into a folder of the path, with a source or a task.

    The code given replaces definitions of its two modules: it stands behind them.
    """
    declared, hook = (TASK if task else OFFER).split("@hookimpl")
    (folder / "planted.py").write_text(declared + dedent(offer) + "\n\n@hookimpl" + hook)
    (folder / "planted_work.py").write_text((TASK_WORK if task else WORK) + dedent(work))
    info = folder / "vgbench_planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vgbench-planted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vgbench]\nplanted = planted\n")
    for module in ("planted", "planted_work"):
        sys.modules.pop(module, None)
    return next(iter(metadata.Distribution.at(info).entry_points))
