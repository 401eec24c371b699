"""Images are a function of recipe, class and index: not of the count, the class list, the workers or the order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from tests.conftest import Answer

from vgbench.cli import ONE_THREAD
from vgbench.execute import Run
from vgbench.executors.local import LocalExecutor
from vgbench.locate import Locator
from vgbench.planned import Plan, PlannedNode
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.store import Store
from vgbench.types import ClassList, DataRequest, Head

Bytes = dict[str, bytes]


def images_under(home: Path) -> Bytes:
    """Return the encoded bytes of every drawn image, by class and index."""
    found: Bytes = {}
    for path in home.glob("store/*/*/*/images.parquet"):
        table = pq.read_table(path, columns=["image", "image_id", "class_id"])
        for row in table.to_pylist():
            if row["class_id"] is not None:
                assert row["image_id"] not in found
                found[row["image_id"]] = row["image"]["bytes"]
    return found


def selected(run_dir: Path, home: Path, digest: str) -> set[str]:
    index = home / "store" / digest[:2] / digest / "000000" / "index.parquet"
    return set(pq.read_table(index)["image_id"].to_pylist())


def run(vgbench: Callable[..., Answer], home: Path, n: int, *more: str) -> set[str]:
    args = ["--source", "toybox:micro_batch=4", "--tasks", "digits", "--images-per-class", str(n), "-o", f"n{n}"]
    answer = vgbench("--home", str(home), "run", *args, *more, "--json")
    assert answer.code in (0, 1), answer.err  # so few images may leave the control at chance
    plan = json.loads((home.parent / f"n{n}" / "plan.json").read_text())
    select = next(node["digest"] for node in plan["nodes"] if node["step"] == "vgbench.select")
    return selected(home.parent / f"n{n}", home, select)


def test_five_in_eight_in_thirteen_byte_for_byte(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    home = tmp_path / "home"
    five = run(vgbench, home, 5)
    drawn_for_five = images_under(home)
    eight = run(vgbench, home, 8)
    assert images_under(home) == drawn_for_five  # 5 → 8: the two shards of 4 were there
    thirteen = run(vgbench, home, 13)
    drawn = images_under(home)
    assert five < eight < thirteen and (len(five), len(eight), len(thirteen)) == (50, 80, 130)
    assert drawn_for_five.items() <= drawn.items() and len(drawn) == 160
    fresh = tmp_path / "fresh" / "home"
    fresh.parent.mkdir()
    answer = vgbench(
        "--home",
        str(fresh),
        "run",
        "--source",
        "toybox:micro_batch=4",
        "--tasks",
        "digits",
        "--images-per-class",
        "13",
        "-o",
        "x",
    )
    assert answer.code in (0, 1)
    assert images_under(fresh) == drawn  # made at once, the same bytes


def test_one_and_two_workers_give_the_same_bytes(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    homes = []
    for workers in ("1", "2"):
        home = tmp_path / f"workers{workers}" / "home"
        home.parent.mkdir()
        asked = [
            "--source",
            "toybox:micro_batch=4",
            "--tasks",
            "digits",
            "--images-per-class",
            "30",
            "-o",
            f"w{workers}",
        ]
        assert vgbench("--home", str(home), "run", *asked, "--workers", workers).code == 0
        homes.append(home)
    one, two = (images_under(home) for home in homes)
    assert one == two and len(one) == 320
    payloads = []
    for home in homes:
        files = [p for p in (home / "store").rglob("*") if p.is_file() and p.name != "observed.json"]
        payloads.append({p.relative_to(home).as_posix(): p.read_bytes() for p in files})
    assert payloads[0] == payloads[1]


def test_adding_a_class_changes_no_byte_of_the_others(tmp_path: Path) -> None:
    registry = Registry()
    digits = registry.class_list("digits").classes
    drawn: list[Bytes] = []
    for n in (3, 4):
        g = Builder(registry, Locator(), {})
        found = g.images("toybox", DataRequest(ClassList("some", "1", digits[-n:]), 6), micro_batch=4)
        nodes = [member.node for member in found.members if isinstance(member, Head)]
        plan = Plan((), {node.digest: PlannedNode(node, (0, 1), (0, 1), 8) for node in nodes})
        home = tmp_path / str(n)
        environment = {"PATH": os.environ["PATH"], **ONE_THREAD}
        Run(plan, Store(home), LocalExecutor(2, environment, tmp_path / "logs")).finish()
        drawn.append(images_under(home))
    assert len(drawn[0]) == 24 and len(drawn[1]) == 32
    assert drawn[0].items() <= drawn[1].items()
