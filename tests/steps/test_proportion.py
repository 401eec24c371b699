"""proportion: of each class so many times as many images as a real split has of it."""

from __future__ import annotations

from pathlib import Path

from vgbench.images import INDEX_FILE, read_table, write_index, write_labels
from vgbench.steps.proportion import proportion
from vgbench.types import Artifact, Made, Step


def kept(tmp_path: Path, ratio: int, per_class: tuple[int, int]) -> tuple[Made, list[str]]:
    """Keep of sets of ``per_class`` images of classes a and b, where the real splits have 3 + 1 of a and 1 of b."""
    folders = {name: tmp_path / f"{name}-{ratio}-{per_class}" for name in ("set", "first", "second", "out")}
    for folder in folders.values():
        folder.mkdir()
    counts = [(label, i) for label, n in enumerate(per_class) for i in range(n)]
    write_index(folders["set"], [(f"{'ab'[label]}{i}", label, 0, 0, 0, "0" * 64) for label, i in counts])
    write_labels(folders["first"], [("x1", "a"), ("x2", "b"), ("x3", "a"), ("x4", "a")])
    write_labels(folders["second"], [("y1", "a")])
    held = Artifact("", (folders["set"],), members=(Artifact("", (folders["set"],)),))
    like = Artifact("", (), members=tuple(Artifact("", (folders[name],)) for name in ("first", "second")))
    step = Step(
        "0" * 64, {"class_ids": ["a", "b"], "ratio": ratio}, {"set": held, "like": like}, None, 0, folders["out"],
        folders["out"], "cpu", lambda d, t: None, lambda k, m: m(), lambda p: print,
    )  # fmt: skip
    return proportion(step), read_table(folders["out"] / INDEX_FILE)["image_id"].to_pylist()


def test_each_class_has_its_own_multiple(tmp_path: Path) -> None:
    made, ids = kept(tmp_path, 2, (20, 20))
    assert made.items == 10 and made.per_class == {"a": 8, "b": 2}
    assert ids == [*(f"a{i}" for i in range(8)), "b0", "b1"]


def test_smaller_ratios_images_are_among_a_larger_ones(tmp_path: Path) -> None:
    one, four = (set(kept(tmp_path, ratio, (20, 20))[1]) for ratio in (1, 4))
    assert one < four and len(one) == 5 and len(four) == 20


def test_class_with_fewer_is_kept_whole_and_counted_as_it_is(tmp_path: Path) -> None:
    made, _ = kept(tmp_path, 4, (10, 20))
    assert made.per_class == {"a": 10, "b": 4}
