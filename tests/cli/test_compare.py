"""What may be said of two results, and of two networks only; what is refused; how it leaves the house."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Answer
from tests.leaderboard.made import answers, make_cell, write_run

from vgbench.commands.answers import CompareAnswer
from vgbench.commands.export import guarded
from vgbench.results import Cell
from vgbench.steps.measure import write_per_class

Command = Callable[..., Answer]
N = 300


def trained(source: str, share: float, *, runs: int = 3, seed: int = 0, **more: str) -> list[tuple[Cell, list[float]]]:
    rights = [answers(N, share, seed=seed + k) for k in range(runs)]
    return [
        (make_cell(source, right, train=k, column=more.get("column", "digits")), right)
        for k, right in enumerate(rights)
    ]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path / "out", [*trained("good", 0.9), *trained("same", 0.9, seed=50), *trained("bad", 0.6)])


def compared(answer: Answer) -> CompareAnswer:
    assert answer.code == 0, answer.err
    return CompareAnswer.model_validate(answer.json)


def test_better_source_is_called_better_and_the_mirror_image_agrees(vgbench: Command, run_dir: Path) -> None:
    one = compared(vgbench("compare", "out:good", "out:bad", "--json")).columns[0]
    two = compared(vgbench("compare", "out:bad", "out:good", "--json")).columns[0]
    assert (one.verdict, two.verdict) == ("A better", "B better") and one.scope == "sources" and one.a_runs == 3
    assert one.ci is not None and two.ci is not None and (one.ci.lo, one.ci.hi) == (-two.ci.hi, -two.ci.lo)
    assert one.difference == pytest.approx(0.3, abs=0.06) and one.ci.lo < one.difference < one.ci.hi
    assert one.p == two.p and one.p is not None and one.p < 0.01 and one.detectable is not None


def test_no_difference_is_shown_between_equals(vgbench: Command, run_dir: Path) -> None:
    answer = vgbench("compare", "out:good", "out:same", "--per-class")
    assert answer.code == 0 and "no difference shown" in answer.out and "hierarchical bootstrap" in answer.out
    assert "about the sources on the image sets that were run: 3 and 3 training runs × 300 test items" in answer.out
    assert "no test: a cell holds no labels" in answer.out


def test_single_networks_are_never_called_sources(vgbench: Command, run_dir: Path) -> None:
    good, bad = (run_dir / "cells" / trained(name, share)[0][0].digest for name, share in (("good", 0.9), ("bad", 0.6)))
    (column,) = compared(vgbench("compare", str(good), str(bad), "--json")).columns
    assert column.scope == "networks" and column.method == "McNemar exact" and column.verdict == "A better"
    answer = vgbench("compare", str(good), str(bad))
    assert "about these networks, not the sources (1 and 1 training runs)" in answer.out


def test_columns_are_corrected_together_and_the_others_named(vgbench: Command, tmp_path: Path) -> None:
    made = [*trained("a", 0.80), *trained("b", 0.78, seed=9)]
    made += [*trained("a", 0.9, column="pets"), *trained("b", 0.6, column="pets"), *trained("a", 0.9, column="cars")]
    write_run(tmp_path / "out", made)
    answer = compared(vgbench("compare", "out:a", "out:b", "--json"))
    columns = {column.name: column for column in answer.columns}
    assert set(columns) == {"digits", "pets"} and [u.name for u in answer.uncompared] == ["cars"]
    p = {name: column.p for name, column in columns.items()}
    assert p["pets"] is not None and columns["pets"].p_holm == pytest.approx(2 * p["pets"])
    assert columns["digits"].p_holm == p["digits"]


def test_results_of_other_columns_are_refused_naming_what_differs(vgbench: Command, tmp_path: Path) -> None:
    right = answers(N, 0.9, seed=1)
    cells = {
        "train": [make_cell("s", right, options={"train": name}) for name in ("probe", "backbone")],
        "version": [make_cell("s", right, version=version) for version in ("1", "2")],
        "task": [make_cell("s", right, column=column) for column in ("digits", "pets")],
    }
    for says, (a, b) in cells.items():
        folder = write_run(tmp_path / says, [(a, right), (b, right)])
        answer = vgbench("compare", *(str(folder / "cells" / cell.digest) for cell in (a, b)))
        assert answer.code == 2 and "share no column" in answer.err
        expected = {
            "train": "train=probe against backbone",
            "version": "task version 1 against 2",
            "task": "the other side has no such task",
        }
        assert expected[says] in answer.err


@pytest.mark.parametrize(
    ("a", "what"),
    [
        ("out:goood", "did you mean out:good?"),
        ("out", "out has 3 rows"),
        ("nowhere:good", "nowhere:good: no such folder"),
    ],
)
def test_unknown_side_is_refused_with_what_is_there(vgbench: Command, run_dir: Path, a: str, what: str) -> None:
    answer = vgbench("compare", a, "out:bad")
    assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err


def test_cell_without_values_per_item_is_shown_but_not_tested(vgbench: Command, run_dir: Path) -> None:
    for path in run_dir.glob("cells/*/items.parquet"):
        path.unlink()
    (column,) = compared(vgbench("compare", "out:good", "out:bad", "--json")).columns
    assert column.verdict is None and column.p is None and "no value per item" in (column.reason or "")
    assert column.difference == pytest.approx(0.3, abs=0.06)


def measured(source: str, clip_score: float | None, *, column: str = "quality") -> tuple[Cell, list[float]]:
    """Return a cell of a task that measures images: one main metric, withheld or not."""
    cell = make_cell(source, [clip_score or 0.0], column=column, seeds={})
    withheld = {"value": clip_score, "ci": None, "reason": "110 images, 120 needed" if clip_score is None else None}
    main = cell.metrics[0].model_copy(update={"name": "clip_score", **withheld})
    return cell.model_copy(update={"metrics": [main]}), [clip_score or 0.0]


def test_classes_are_compared_by_the_main_metric_alone(vgbench: Command, tmp_path: Path) -> None:
    """`vgbench.measure` writes rows of several metrics for one class."""
    cells = [measured("a", 0.3), measured("b", 0.2)]
    folder = write_run(tmp_path / "out", cells)
    for (cell, _), value in zip(cells, (0.3, 0.2), strict=True):
        write_per_class(folder / "cells" / cell.digest, [("x", 9, value, "clip_score"), ("x", 5, 40 * value, "vendi")])
    (column,) = compared(vgbench("compare", "out:a", "out:b", "--per-class", "--json")).columns
    assert column.per_class is not None and column.per_class_reason is None
    (pair,) = column.per_class
    assert (pair.n, pair.a, pair.b, pair.difference) == (9, 0.3, 0.2, pytest.approx(0.1))
    for cell, _ in cells:
        write_per_class(folder / "cells" / cell.digest, [("x", 5, 8.0, "vendi")])
    answer = vgbench("compare", "out:a", "out:b", "--per-class")
    assert "quality by class: no class has a value of clip_score on both sides" in answer.out
    (column,) = compared(vgbench("compare", "out:a", "out:b", "--per-class", "--json")).columns
    assert column.per_class == [] and column.per_class_reason is not None


def test_withheld_value_leaves_the_other_columns_to_compare(vgbench: Command, tmp_path: Path) -> None:
    made = [measured("a", 0.3, column="few"), measured("b", None, column="few")]
    write_run(tmp_path / "out", [*made, *trained("a", 0.9), *trained("b", 0.6)])
    answer = compared(vgbench("compare", "out:a", "out:b", "--json"))
    assert [(column.name, column.verdict) for column in answer.columns] == [("digits", "A better")]
    (item,) = answer.uncompared
    assert (item.name, item.side, item.is_withheld, item.why) == ("few", "B", True, "110 images, 120 needed")
    assert "B has no value of few: 110 images, 120 needed" in vgbench("compare", "out:a", "out:b").out
    write_run(tmp_path / "alone", made)
    alone = vgbench("compare", "alone:a", "alone:b")
    assert alone.code == 2 and "no value to compare: few of B: 110 images, 120 needed" in alone.err


def test_values_are_shown_in_their_own_unit(vgbench: Command, tmp_path: Path) -> None:
    """A distance is no percentage."""
    made = []
    for name, share in (("good", 0.9), ("bad", 0.6)):
        for cell, right in trained(name, share):
            (main,) = cell.metrics
            made.append((cell.model_copy(update={"metrics": [main.model_copy(update={"unit": "distance"})]}), right))
    write_run(tmp_path / "out", made)
    answer = vgbench("compare", "out:good", "out:bad")
    assert answer.code == 0, answer.err
    assert "top1 %" not in answer.out and re.search(r"  0\.\d+  0\.\d+  \+0\.\d+  ", answer.out)
    assert compared(vgbench("compare", "out:good", "out:bad", "--json")).columns[0].unit == "distance"


# ── export ───────────────────────────────────────────────────────────────────────────────────────


def test_csv_has_a_line_for_each_row_and_column_with_value_interval_and_n(vgbench: Command, run_dir: Path) -> None:
    assert vgbench("export", "out", "--to", "csv", "-o", "board.csv").code == 0
    text = (run_dir.parent / "board.csv").read_text()
    assert vgbench("export", "out", "--to", "csv").out == text
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(text))}
    assert set(lines) == {"good", "same", "bad"}
    for line in lines.values():
        assert float(line["ci_lo"]) < float(line["value"]) < float(line["ci_hi"]) and line["n"] == str(N)
        assert line["training_runs"] == "3" and line["ci_method"] == "hierarchical bootstrap"
    assert lines["good"]["tie_groups"] == lines["same"]["tie_groups"] != lines["bad"]["tie_groups"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", " =1", "＝1"])
def test_text_that_a_spreadsheet_would_run_is_quoted(vgbench: Command, tmp_path: Path, text: str) -> None:
    assert guarded(text) == f"'{text}" and guarded(-0.5) == -0.5 and guarded("a=1") == "a=1"
    right = answers(N, 0.9, seed=0)
    write_run(tmp_path / "out", [(make_cell(text, right), right)])
    (line,) = csv.DictReader(io.StringIO(vgbench("export", "out", "--to", "csv").out, newline=""))
    assert line["source"].startswith("'") and float(line["value"]) > 0.5


def test_latex_is_escaped_balanced_and_has_a_cell_for_each_column(vgbench: Command, tmp_path: Path) -> None:
    right = answers(N, 0.9, seed=0)
    made = [(make_cell("50%_of{a}&b#$~^\\", right), right), *trained("plain", 0.9), *trained("other", 0.5)]
    write_run(tmp_path / "out", made)
    text = vgbench("export", "out", "--to", "latex").out
    body = text.partition("\\midrule")[2].partition("\\bottomrule")[0]
    assert r"50\%\_of\{a\}\&b\#\$\textasciitilde{}\textasciicircum{}\textbackslash{}" in body
    for line in filter(None, body.strip().splitlines()):
        assert line.endswith(r" \\") and len(re.findall(r"(?<!\\)&", line)) == 2
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}") and "90.0" not in body.partition("plain")[0].partition("(")[0]
    assert r"$^{a}$" in body and r"\toprule" in text and "chance: digits 10.0 \\%" in text


def test_export_of_nothing_is_refused(vgbench: Command, tmp_path: Path) -> None:
    answer = vgbench("export", str(tmp_path), "--to", "csv")
    assert answer.code == 2 and "holds no leaderboard.json" in answer.err


# ── the table ────────────────────────────────────────────────────────────────────────────────────


def test_table_aligns_values_and_shows_runs_and_tie_letters(vgbench: Command, run_dir: Path) -> None:
    out = vgbench("leaderboard", "show", "out").out
    rows = [line for line in out.splitlines() if re.search("good|same|bad ", line)]
    assert len(rows) == 3 and len({line.index("×3") for line in rows}) == len({line.index("–") for line in rows}) == 1
    letters = {line.split()[1]: line.split()[-2] for line in rows}
    assert letters["good"] == letters["same"] != letters["bad"]
    assert "rows that share a letter in a column are not shown to differ" in out and "one training run" not in out


def test_long_reason_of_a_failed_cell_is_not_broken_in_a_pipe(vgbench: Command, tmp_path: Path) -> None:
    right = answers(N, 0.9, seed=0)
    failed = make_cell("b", right, status="failed").model_copy(update={"reason": "because " + "of this " * 60 + "end"})
    write_run(tmp_path / "out", [(make_cell("a", right), right), (failed, right)])
    (line,) = [line for line in vgbench("leaderboard", "show", "out").out.splitlines() if line.startswith("failed:")]
    assert line.endswith("end")
