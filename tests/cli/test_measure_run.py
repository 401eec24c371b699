"""Measures through the whole product: a task that predicts nothing is run, stored, shown and ranked like any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.conftest import Answer
from tests.guards.product import install

PLUGIN = """
from vgbench import Option, Scores, TaskSpec, hookimpl, stages
from vgbench.metrics.measures import MEASURES
from vgbench_tasks import digits

NAMES = ("vendi", "fid", "kid", "precision", "recall", "density", "coverage")
N = dict.fromkeys(NAMES, 120) | {"vendi": 12}

def graph(g, subject, options):
    classes = g.class_list("digits")
    real = stages.labelled(g, g.dataset("digits", "train"), classes)
    def features(images):
        return stages.features(g, stages.pack(g, images, store_px=32), g.part("encoder", "pixels"))
    return Scores(
        stages.measured(g, features(subject), classes, measures=NAMES, n=N, reference=features(real), fid_on="raw")
    )

@hookimpl
def vgbench_offer_tasks():
    metrics = tuple(MEASURES[name].metric for name in NAMES)
    count = Option("images_per_class", "count", 15, "images of each digit", axis="row")
    yield TaskSpec("measured", "1", "digits measured", digits.request, graph, metrics, None, options=(count,))
"""


def test_task_that_measures_is_run_and_shown(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(install(tmp_path / "plugins", "measured-plugin", PLUGIN))}
    run = ("run", "--source", "original", "toybox", "--tasks", "measured", "--offline", "-o", "out")
    assert vgbench(*run, env=env).code == 0
    cells = {}
    for folder in (tmp_path / "out" / "cells").iterdir():
        cell = json.loads((folder / "result.json").read_text())
        cells[cell["source"]["name"]] = {m["name"]: m for m in cell["metrics"]}
        assert cell["status"] == "ok" and cell["controls"] == [] and not (folder / "items.parquet").exists()
        assert set(pq.read_table(folder / "per_class.parquet")["metric"].to_pylist()) == {"vendi"}
    real, drawn = cells["original"], cells["toybox"]
    assert real["fid"]["value"] < drawn["fid"]["value"] and real["kid"]["value"] < drawn["kid"]["value"]
    assert real["precision"]["value"] > 0.9 > drawn["precision"]["value"]
    assert 1 < real["vendi"]["value"] <= 12 and real["vendi"]["main"] and real["vendi"]["unit"] == "effective images"
    board = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert [c["metric"] for c in board["columns"]] == ["vendi"] and len(board["rows"]) == 2
    few = vgbench("run", "--source", "toybox", "--tasks", "measured:images_per_class=11", "-o", "few", env=env)
    (folder,) = (tmp_path / "few" / "cells").iterdir()
    withheld = {m["name"]: m for m in json.loads((folder / "result.json").read_text())["metrics"]}
    assert few.code == 0 and withheld["fid"]["value"] is None and withheld["fid"]["reason"] == "110 images, 120 needed"
    assert "10 classes have fewer than 12 images" in withheld["vendi"]["reason"]
    (shown,) = json.loads(vgbench("show", "measured", "--json", env=env).out)
    assert shown["scorer"] is None and len(shown["metrics"]) == 7
    answer = vgbench("compare", "out:original", "out:toybox", "--per-class", env=env)
    assert answer.code == 0 and "measured by class" in answer.out


@pytest.mark.parametrize("missing", ["reference", "text"])
def test_measure_without_what_it_reads_is_refused_before_anything_is_made(missing: str) -> None:
    from vgbench import ClassList, Node, UsageError, stages
    from vgbench.types import StepRef, make_node

    class Graph:
        def node(self, step: StepRef, **given: object) -> Node:
            raise AssertionError("nothing is to be made")

    images = make_node(StepRef("a.b", "1", "a:b"))
    measure = {"reference": "kid", "text": "clip_score"}[missing]
    with pytest.raises(UsageError, match=f"features `{missing}` are read"):
        stages.measured(Graph(), images, ClassList("c", "1", ()), measures=[measure], n={"kid": 9})  # type: ignore[arg-type]  # a graph that makes nothing
