"""Miniature twins of the pre-training track's data sets, in upstream's layouts, as a plugin beside the built-ins.

A picture is the code of an answer: whoever writes a test set says what the network is to answer to each image.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = Path(__file__).parents[2] / "tasks" / "vgbench_tasks" / "datasets" / "classes"
SIDE_PX = 32

# Every task of the track under the name mini/TASK, on a data set of its own whose splits may have any size.
PLUGIN = """
from dataclasses import replace
from functools import partial
from vgbench import Split, hookimpl
from vgbench_tasks import background_gap, cue_conflict, focus, ood, pretrained, transfer
from vgbench_tasks.datasets import real
from vgbench_tasks.transfer import sets

BIASES = (cue_conflict, focus, background_gap)

def unsized(spec):
    trex = [name for name in spec.splits if name.startswith("trex")]
    names = trex or [name for name in spec.splits if name in ("train", "trainval", "test")]
    return replace(spec, name=f"mini-{spec.name}", splits=dict.fromkeys(names, Split(None, None)))

@hookimpl
def vgbench_offer_datasets():
    wanted = {t.datasets[0] for t in tasks()}
    found = [*real.vgbench_offer_datasets(), *(d for b in BIASES for d in b.vgbench_offer_datasets())]
    yield from (unsized(spec) for spec in found if spec.name in wanted)

def tasks():
    offered = [*pretrained.vgbench_offer_tasks(), *ood.vgbench_offer_tasks(), *sets.tasks()]
    offered += [task for bias in BIASES for task in bias.vgbench_offer_tasks()]
    return [task for task in offered if not task.name.startswith("toybox")]

@hookimpl
def vgbench_offer_tasks():
    for task in tasks():
        here = f"mini-{task.datasets[0]}"
        if task.name.startswith("transfer8/"):
            of = task.graph.keywords["of"]
            graph = partial(sets.graph, of=replace(of, dataset=here), classes=of.dataset)
        else:
            graph = partial(task.graph, dataset=here)
        labels = (here, task.labels[1])
        yield replace(task, name=f"mini/{task.name}", graph=graph, datasets=(here,), labels=labels)
"""


def class_ids(name: str) -> list[str]:
    """Return the ids of a class list, read from its file."""
    return [entry["id"] for entry in json.loads((CLASSES / f"{name}.json").read_text())["classes"]]


def code(number: int) -> Image.Image:
    """Return the picture of a code: 4 × 4 random colours, 32 px on a side."""
    blocks = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(blocks).resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    code(number).save(buffer, "PNG")
    return buffer.getvalue()


def folders(root: Path, answers: Mapping[str, Sequence[int]], *, folder_of: Callable[[str], str] = str) -> Path:
    """Write CLASS/0.png, …: of each class an image of every code."""
    for name, codes in answers.items():
        for i, number in enumerate(codes):
            path = root / folder_of(name) / f"{folder_of(name)}_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number))
    return root


def parquet(root: Path, splits: Mapping[str, Mapping[str, Sequence[int]]]) -> Path:
    """Write the standard copy: sample_id, split, image, class_id."""
    rows = [
        {"sample_id": f"{split}-{name}-{i}", "split": split, "image": {"bytes": png(n), "path": None}, "class_id": name}
        for split, answers in splits.items()
        for name, codes in answers.items()
        for i, n in enumerate(codes)
    ]
    root.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / "copy.parquet")
    return root


def cue_conflict(root: Path, trials: Sequence[tuple[str, str, int]]) -> Path:
    """Write SHAPE/SHAPE1-TEXTURE1.png of (shape, texture, code)."""
    for i, (shape, texture, number) in enumerate(trials):
        path = root / "cue-conflict" / shape / f"{shape}{i}-{texture}{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return root


def focus(root: Path, photographs: Sequence[tuple[int, int, int, str, int]]) -> Path:
    """Write photographs and annotations.db of (category, time, weather, locations, code), the first three numbers."""
    root.mkdir(parents=True)
    with closing(sqlite3.connect(root / "annotations.db")) as connection:
        connection.execute(
            "CREATE TABLE annotations (file_name TEXT, category INTEGER, time INTEGER, weather INTEGER, "
            "locations TEXT, humans TEXT)"
        )
        for i, (category, time, weather, locations, number) in enumerate(photographs):
            (root / f"{category}").mkdir(exist_ok=True)
            (root / f"{category}" / f"{i}.jpg").write_bytes(png(number))
            row = (f"./{category}/{i}.jpg", category, time, weather, locations, "yes")
            connection.execute("INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    return root


def backgrounds(root: Path, images: Sequence[tuple[str, int, str, str, int]]) -> Path:
    """Write bg_challenge/VARIANT/val/00_dog/fg_X_bg_Y.JPEG of (variant, class, foreground, background, code)."""
    names = ("dog", "bird", "vehicle", "reptile", "carnivore", "insect", "instrument", "primate", "fish")
    for variant, number, foreground, background, answer in images:
        folder = root / "bg_challenge" / variant / "val" / f"{number:02d}_{names[number]}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"fg_{foreground}_bg_{background}.JPEG").write_bytes(png(answer))
    stranger = root / "bg_challenge" / "only_bg_t" / "val" / "00_dog" / "x.JPEG"  # another variant, which nobody reads
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(png(0))
    return root
