"""A part of an image set: nested for one seed, another for every seed, the same whatever order files came in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from vgbench.images import ImageRow, encode_png, write_index, write_shard
from vgbench.steps.pack import pack
from vgbench.steps.subset import subset
from vgbench.types import Artifact, Made, Step

CLASSES = ["few", "many"]


def image_set(folder: Path, sizes: tuple[int, int] = (4, 20), *, backwards: bool = False) -> Artifact:
    """Return an image set of two classes; the index may list it backwards."""
    names = [(label, f"{CLASSES[label]}-{i}") for label, n in enumerate(sizes) for i in range(n)]
    pixels = np.zeros((2, 2, 3), np.uint8)
    (folder / "shard").mkdir(parents=True)
    (folder / "index").mkdir()
    write_shard(folder / "shard", [ImageRow(encode_png(pixels), i, name, 2, 2) for i, (_, name) in enumerate(names)])
    rows = [(name, label, 0, 0, i, "") for i, (label, name) in enumerate(names)]
    write_index(folder / "index", rows[::-1] if backwards else rows)
    return Artifact("", (folder / "index",), members=(Artifact("", (folder / "shard",)),))


def step(out: Path, images: Artifact, *, seed: int | None = 0, **params: Any) -> Step:
    out.mkdir(parents=True)
    given = {"class_ids": CLASSES, "fraction": 1.0, "shots": None, "least": 1, **params}
    return Step(
        "", given, {"images": images}, seed, 0, out, out, "cpu", lambda *_: None, lambda _, m: m(), lambda _: max
    )


def kept(tmp_path: Path, name: str, images: Artifact, **how: Any) -> tuple[list[str], Made]:
    made = subset(step(tmp_path / name, images, **how))
    return pq.read_table(tmp_path / name / "index.parquet")["image_id"].to_pylist(), made


def test_smaller_parts_lie_inside_larger_ones_of_the_same_seed(tmp_path: Path) -> None:
    images = image_set(tmp_path)
    parts = [set(kept(tmp_path, f"f{f}", images, fraction=f)[0]) for f in (1, 0.5, 0.2, 0.1)]
    assert parts[0] > parts[1] > parts[2] > parts[3]
    assert [len(part) for part in parts] == [24, 12, 5, 3]  # of each class at least one image
    one, three = (set(kept(tmp_path, f"s{n}", images, shots=n)[0]) for n in (1, 3))
    assert one < three and Counter(i.partition("-")[0] for i in three) == {"few": 3, "many": 3}


def test_every_seed_is_another_draw_and_the_order_of_files_none(tmp_path: Path) -> None:
    forwards, backwards = image_set(tmp_path / "a"), image_set(tmp_path / "b", backwards=True)
    draws = [kept(tmp_path, f"{seed}", forwards, seed=seed, fraction=0.5) for seed in range(5)]
    assert len({tuple(ids) for ids, _ in draws}) == 5
    assert set(kept(tmp_path, "back", backwards, seed=3, fraction=0.5)[0]) == set(draws[3][0])
    assert draws[0][1] == Made(12, {"few": 2, "many": 10})


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    images = image_set(tmp_path)
    with pytest.raises(ValueError, match="class few has 4 images, 5 are asked for"):
        subset(step(tmp_path / "x", images, shots=5))
    with pytest.raises(ValueError, match=r"fraction is 1\.5"):
        subset(step(tmp_path / "y", images, fraction=1.5))


# ── The training copy ────────────────────────────────────────────────────────────────────────────────


def packed(tmp_path: Path, **params: Any) -> Any:
    """Pack one image of 40 × 20 px whose columns and rows differ; return it as (H, W, 3)."""
    from vgbench.images import Pack

    rows, columns = np.mgrid[0:20, 0:40]
    pixels = np.stack([rows * 12, columns * 6, rows + columns], axis=2).astype(np.uint8)
    folder = tmp_path / "images"
    folder.mkdir()
    write_shard(folder, [ImageRow(encode_png(pixels), 0, "one", 40, 20)])
    given = step(tmp_path / "pack", Artifact("", (folder,)), labelled=False, **params)
    pack(given)
    return Pack.open(Artifact("", (given.out,))).pixels(0), pixels


def test_a_test_image_is_resized_before_its_centre_is_cut_out(tmp_path: Path) -> None:
    from PIL import Image

    found, pixels = packed(tmp_path, store_px=14, resize_px=16)
    whole = Image.fromarray(pixels[:, 10:30]).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(found, np.asarray(whole)[1:15, 1:15])


def test_a_cut_larger_than_the_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="14 px cannot be cut out of 12 px"):
        packed(tmp_path, store_px=14, resize_px=12)
