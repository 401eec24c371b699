"""Papers' figures: what the files may hold, that averages are recomputed, that nothing that computes reads them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.conftest import Answer
from tests.leaderboard.made import answers, make_cell, write_run

from vgbench.commands.answers import ReportedAnswer
from vgbench.registry import Registry
from vgbench_leaderboard.reported.entries import PAPERS, Paper, found_in, published, suite_of

TRANSFER = "transfer8"


def raw(name: str) -> dict[str, Any]:
    return tomllib.loads((files("vgbench_leaderboard.reported") / f"{name}.toml").read_text())


def one(source: str | None, backbone: str, task: str, **options: object) -> float:
    (found,) = [
        entry.value
        for entry in published().entries
        if (entry.source, entry.backbone, entry.task) == (source, backbone, task)
        and options.items() <= {**entry.options, **entry.row_options}.items()
    ]
    return found


def test_entries_are_the_papers_cells() -> None:
    """A few of each table, typed once more from protocols.md §2.2 and §3.5."""
    assert one("original", "ResNet-50", "imagenet-val") == 0.762
    assert one("lbgen", "ResNet-50", "transfer8/sun397") == 0.643
    assert one("genrobust", "ViT-S", "transfer8/food101") == 0.547
    assert one("realfake", "ViT-S", "imagenet-val") == 0.723
    assert one("lbgen", "ResNet-50", "detection", downstream_fraction=0.2) == 0.3068
    assert one("sd", "ResNet-50", "segmentation", downstream_fraction=0.1) == 0.2632
    assert one("lbgen", "ViT-S", "cue-conflict") == 0.572
    assert one("genrobust", "ResNet-50", "focus") == 0.481
    assert one("realfake", "ResNet-50", "background-gap") == 0.082
    assert one("retrieval", "ResNet-50", "augment10", ratio=2) == 0.626
    assert one("original", "ResNet-50", "augment10", ratio=0) == 0.572
    assert len(published().entries) == 90 + 40 + 30 + 6


def test_averages_are_recomputed_from_the_rows() -> None:
    """The five that lbGen prints for ResNet-50 contradict its own rows (protocols.md §3.5): none of them is kept."""
    means = {(mean.row, mean.backbone): mean.value for mean in published().means()}
    expected = {"IN-Real": 70.91, "IN-SD1.5": 69.96, "IN-GenRobust": 67.15, "IN-RealFake": 71.99, "IN-lbGen": 73.95}
    for row, value in expected.items():
        assert 100 * means[row, "ResNet-50"] == pytest.approx(value, abs=0.005)
    assert {mean.n for mean in published().means()} == {8}
    tasks = {entry.task for entry in published().entries}
    assert TRANSFER not in tasks and len([task for task in tasks if suite_of(task) == TRANSFER]) == 8


def test_mean_needs_every_figure_of_the_suite() -> None:
    assert published().of(["transfer8/dtd", "transfer8/sun397"]).means() == []
    assert len(published().of([TRANSFER]).means()) == 10
    short = raw("lbgen")
    del short["tables"][0]["columns"][-1]  # the ViT-S table still has SUN: ResNet-50 lacks one
    short["tables"][0]["values"] = {row: cells[:-1] for row, cells in short["tables"][0]["values"].items()}
    assert {mean.backbone for mean in found_in([Paper.model_validate(short)]).means()} == {"ViT-S"}


def test_second_hand_figures_say_so_and_unstated_ones_are_not_there() -> None:
    burg = [entry for entry in published().entries if entry.paper == "burg"]
    assert {entry.row for entry in burg} == {
        "10 % ImageNet",
        "20 % ImageNet",
        "Boomerang",
        "CLIP prompts",
        "Textual Inversion",
        "Retrieval",
    }
    assert all("second-hand" in entry.provenance and "v1" in entry.from_ for entry in burg)
    assert all(entry.plus_minus and entry.plus_minus_means == "not stated" for entry in burg)
    lbgen = [entry for entry in published().entries if entry.paper == "lbgen"]
    assert all(entry.plus_minus is None and entry.plus_minus_means is None for entry in lbgen)


def test_sources_and_tasks_are_called_as_vgbench_calls_them() -> None:
    """Of a protocol that vgbench has not yet, nothing can be compared; of one that it has, names must not differ."""
    registry = Registry()
    for entry in published().entries:
        if entry.source is not None:
            text = ",".join(f"{name}={value}" for name, value in entry.source_options.items())
            registry.source(f"{entry.source}:{text}" if text else entry.source)
        offered = {offer.spec.name: offer.spec for offer in registry.tasks}
        if entry.task in offered:
            assert entry.metric in {metric.id for metric in offered[entry.task].metrics}, entry.task
            metric = next(metric for metric in offered[entry.task].metrics if metric.id == entry.metric)
            assert metric.higher_is_better == entry.higher_is_better, entry.task
        elif suite := suite_of(entry.task):
            assert not any(name.startswith(f"{suite}/") for name in offered), f"{entry.task} has another name here"


@pytest.mark.parametrize("name", PAPERS)
def test_file_is_refused_when_it_holds_what_the_model_does_not_know(name: str) -> None:
    def refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
        given = raw(name)
        change(given)
        with pytest.raises(ValidationError, match=message):
            Paper.model_validate(given)

    row = next(iter(raw(name)["tables"][0]["values"]))
    refused(lambda paper: paper.update(surprise=1), "surprise")
    refused(lambda paper: paper["tables"][0].update(average=[0.7]), "average")
    refused(lambda paper: paper["tables"][0]["values"].update({row: [0.5] * 3}), "not one value for each column")
    refused(lambda paper: paper["tables"][0]["values"][row].__setitem__(0, 76.2), "less than or equal to 1")
    refused(lambda paper: paper["rows"].pop(row), "rows that stand in a table only")


# ── Beside what is measured ──────────────────────────────────────────────────────────────────────


def test_what_computes_does_not_know_them() -> None:
    """Aggregates, ties and comparisons cannot read what they never import."""
    code = (
        "import sys, vgbench_leaderboard.build, vgbench_leaderboard.aggregate.command, vgbench.commands.compare,"
        "vgbench.commands.export, vgbench_leaderboard.ties;"
        "sys.exit('vgbench_leaderboard.reported' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_they_stand_below_a_runs_table_and_are_marked(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    right = answers(50, 0.6, seed=0)
    run = write_run(tmp_path / "run", [(make_cell("original", right, column="augment10"), right)])
    before = (run / "leaderboard.json").read_bytes()
    plain, shown = vgbench("leaderboard", "show", "run"), vgbench("leaderboard", "show", "run", "--reported")
    assert plain.code == shown.code == 0
    assert "reported" not in plain.out
    more = [line for line in shown.out.splitlines() if line not in plain.out.splitlines()]
    assert len(more) > 6 and all(line.startswith("reported") for line in more)
    assert any("Retrieval" in line and "62.6 ± 0.1" in line for line in more)
    assert not any("transfer8" in line for line in more)
    assert (run / "leaderboard.json").read_bytes() == before
    refused = vgbench("leaderboard", "show", "run", "--reported", "--json")
    assert refused.code == 2 and "leaderboard reported" in refused.err + refused.out


def test_twin_is_not_shown_the_papers_figures(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    right = answers(50, 0.6, seed=0)
    write_run(tmp_path / "run", [(make_cell("toybox", right, column="toybox/augment10"), right)])
    assert (
        "no paper's figures are kept for: toybox/augment10" in vgbench("leaderboard", "show", "run", "--reported").out
    )


def test_command_prints_tasks_suites_and_json(vgbench: Callable[..., Answer]) -> None:
    every = ReportedAnswer.model_validate(vgbench("leaderboard", "reported", "--json").json)
    assert len(every.entries) == len(published().entries) and {paper.name for paper in every.papers} == set(PAPERS)
    some = vgbench("leaderboard", "reported", TRANSFER, "focus")
    assert some.code == 0 and "71.99" in some.out and "64.7" in some.out and "detection" not in some.out
    wrong = vgbench("leaderboard", "reported", "transfer8/dtdd")
    assert wrong.code == 2 and "did you mean 'transfer8/dtd'?" in wrong.err
