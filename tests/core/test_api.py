"""The Python API: plan, run, read again."""

from __future__ import annotations

from pathlib import Path

import pytest

import vgbench


def test_plan_run_and_load(tmp_path: Path, home: Path) -> None:
    planned = vgbench.plan(["original"], ["digits"], options={"images_per_class": 20}, home=home)
    assert planned.plan.totals()["make"] > 0 and not home.exists()
    run = planned.run(tmp_path / "run")
    (row,) = run.leaderboard.rows
    assert row.images == 200 and run.cells[0].status == "ok"
    again = vgbench.load_run(tmp_path / "run")
    assert again == run
    assert (
        vgbench.plan(["original"], ["digits"], options={"images_per_class": [20]}, home=home).plan.totals()["make"] == 0
    )


def test_wrong_names_raise_with_the_nearest_right_one(home: Path, tmp_path: Path) -> None:
    with pytest.raises(vgbench.UsageError, match="no source is called 'orignal'"):
        vgbench.plan(["orignal"], ["digits"], home=home)
    with pytest.raises(vgbench.UsageError, match="is not a run's folder"):
        vgbench.load_run(tmp_path)


def test_table_has_a_line_for_each_cell_and_metric(tmp_path: Path, home: Path) -> None:
    pd = pytest.importorskip("pandas")
    run = vgbench.plan(["original"], ["digits"], options={"images_per_class": [10, 20]}, home=home).run(tmp_path / "r")
    table = run.to_pandas()
    assert isinstance(table, pd.DataFrame) and len(table) == 4
    assert set(table["images_per_class"]) == {10, 20} and set(table["metric"]) == {"top1", "mean_per_class"}
