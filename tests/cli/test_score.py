"""Predictions made elsewhere: scored by the task's own scorer, and refused when they are not what they must be."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from tests.conftest import Answer
from tests.guards.product import install

import vgbench_tasks.digits
from vgbench.cli import main
from vgbench.commands.answers import ScoreAnswer

Rows = list[tuple[str, str]]
Command = Callable[..., Answer]


def truth() -> Rows:
    manifest = json.loads((Path(vgbench_tasks.digits.__file__).parent / "split.json").read_text())
    target = load_digits().target
    return [(sample, f"digit-{target[int(sample.removeprefix('digits-'))]}") for sample in manifest["test"]]


def write_csv(path: Path, rows: Sequence[Sequence[str]], *, names: Sequence[str] = ("sample_id", "prediction")) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return str(path)


def test_predictions_are_scored_as_a_run_scores_them(vgbench: Command, tmp_path: Path) -> None:
    vgbench("run", "--source", "toybox", "--tasks", "digits", "--images-per-class", "30", "-o", "out")
    (cell,) = (tmp_path / "out" / "cells").iterdir()
    theirs = json.loads((cell / "result.json").read_text())
    answer = vgbench("score", "digits", str(cell / "predictions.parquet"), "--per-class", "--json")
    found = ScoreAnswer.model_validate(answer.json)
    assert answer.code == 0 and answer.json["metrics"] == theirs["metrics"] and found.labels == "digits:test"
    assert [row.model_dump() for row in found.per_class or []] == pq.read_table(cell / "per_class.parquet").to_pylist()
    items = pq.read_table(cell / "items.parquet").to_pydict()
    assert sum(items["value"]) / len(items["value"]) == theirs["metrics"][0]["value"]
    assert set(items["value"]) == {0.0, 1.0} and items["sample_id"] == sorted(items["sample_id"])


def test_value_interval_and_classes_are_printed(vgbench: Command, tmp_path: Path) -> None:
    rows = [(sample, "na" if i < 36 else digit) for i, (sample, digit) in enumerate(truth())]
    answer = vgbench("score", "digits", write_csv(tmp_path / "p.csv", rows), "--per-class")
    assert answer.code == 0 and "89.97 %" in answer.out and "95 % wilson" in answer.out and "n = 359" in answer.out
    assert "digit-9" in answer.out and "labels of digits:test" in answer.out


def test_labels_of_ones_own_as_ids_or_positions(vgbench: Command, tmp_path: Path) -> None:
    predictions = write_csv(tmp_path / "p.csv", [("001", "digit-1"), ("002", "digit-2"), ("003", "digit-0")])
    rows = [("001", "digit-1"), ("002", "digit-2"), ("003", "digit-3")]
    ids = write_csv(tmp_path / "ids.csv", rows, names=("sample_id", "class_id"))
    pq.write_table(pa.table({"label": [3, 1, 2], "sample_id": ["003", "001", "002"]}), tmp_path / "positions.parquet")
    for labels in (ids, str(tmp_path / "positions.parquet")):
        answer = vgbench("score", "digits", predictions, "--labels", labels, "--json")
        assert answer.code == 0 and answer.json["metrics"][0]["value"] == pytest.approx(2 / 3)
        assert answer.json["labels"] == f"file {labels}"


def test_scores_are_accepted_as_parquet_lists_and_as_json_in_csv(vgbench: Command, tmp_path: Path) -> None:
    rows = truth()
    scores = [[float(digit == f"digit-{k}") for k in range(10)] for _, digit in rows]
    names = ("sample_id", "prediction", "scores")
    table = pa.table(dict(zip(names, [*map(list, zip(*rows, strict=True)), scores], strict=True)))
    pq.write_table(table, tmp_path / "p.parquet")
    write_csv(tmp_path / "p.csv", [(*row, json.dumps(s)) for row, s in zip(rows, scores, strict=True)], names=names)
    for file in ("p.parquet", "p.csv"):
        answer = vgbench("score", "digits", file, "--json")
        assert answer.code == 0 and answer.json["metrics"][0]["value"] == 1.0


def broken(kind: str, folder: Path) -> list[str]:
    """Write a broken file of some kind and return the arguments that name it."""
    rows, path = truth(), folder / "p.csv"
    names: tuple[str, ...] = ("sample_id", "prediction")
    if kind == "twice":
        rows += rows[:2]
    elif kind == "missing":
        rows = rows[5:]
    elif kind == "unknown":
        rows[0] = (rows[0][0].replace("digits-", "digit-"), rows[0][1])
    elif kind == "nan":
        rows[:3] = [(sample, "nan") for sample, _ in rows[:3]]
    elif kind == "class":
        rows[0] = (rows[0][0], "digt-7")
    elif kind == "positions":
        rows = [(sample, digit.removeprefix("digit-")) for sample, digit in rows]
    elif kind == "columns":
        names = ("sampleid", "prediction")
    elif kind == "no rows":
        rows = []
    elif kind in ("nan scores", "short scores"):
        names = (*names, "scores")
        given = [0.1] * 9 + ([float("nan")] if kind == "nan scores" else [])
        pq.write_table(
            pa.table(
                {"sample_id": [r[0] for r in rows], "prediction": [r[1] for r in rows], "scores": [given] * len(rows)}
            ),
            folder / "p.parquet",
        )
        return ["digits", "p.parquet"]
    elif kind == "truncated":
        pq.write_table(pa.table({"sample_id": ["a"], "prediction": ["digit-1"]}), folder / "whole.parquet")
        (folder / "p.parquet").write_bytes((folder / "whole.parquet").read_bytes()[:-20])
        return ["digits", "p.parquet"]
    elif kind == "bytes":
        path.write_bytes(b"sample_id,prediction\na,\xff\xfe\n")
        return ["digits", "p.csv"]
    elif kind == "ragged":
        path.write_text("sample_id,prediction\na\n")
        return ["digits", "p.csv"]
    elif kind == "suffix":
        (folder / "p.txt").write_text("")
        return ["digits", "p.txt"]
    elif kind == "no file":
        return ["digits", "nowhere.csv"]
    elif kind == "label outside":
        write_csv(folder / "labels.csv", [(r[0], "12") for r in rows], names=("sample_id", "label"))
        return ["digits", write_csv(path, rows), "--labels", str(folder / "labels.csv")]
    return ["digits", write_csv(path, rows, names=names)]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("twice", "2 sample ids stand more than once: digits-"),
        ("missing", "5 samples have no prediction: digits-"),
        ("unknown", "1 samples are not in the labels: digit-"),
        ("nan", "3 samples have an empty or NaN prediction: digits-"),
        ("class", "did you mean 'digit-7'?"),
        ("positions", "class ids are digit-0, digit-1, digit-2, …"),
        ("columns", "did you mean 'sampleid'?"),
        ("no rows", "has no rows"),
        ("nan scores", "359 samples have a NaN or infinite score"),
        ("short scores", "359 samples have no such list of scores"),
        ("truncated", "not readable as parquet"),
        ("bytes", "not readable as csv"),
        ("ragged", "not readable as csv"),
        ("suffix", "neither .csv nor .parquet"),
        ("no file", "no such file"),
        ("label outside", "1 labels lie outside 0..9: 12"),
    ],
)
def test_broken_input_is_refused_with_counts_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(["--home", str(tmp_path / "home"), "score", *broken(kind, tmp_path)])
    out, err = capsys.readouterr()
    assert code == 2 and what in err and "Traceback" not in err and out == ""


def test_column_that_only_the_scorer_knows_of_is_named(vgbench: Command, tmp_path: Path) -> None:
    plugin = (
        "from dataclasses import replace\n"
        "from vgbench import hookimpl\n"
        "from vgbench_tasks import digits\n"
        "@hookimpl\n"
        "def vgbench_offer_tasks():\n"
        "    (task,) = digits.vgbench_offer_tasks()\n"
        "    yield replace(task, name='bare', scorer='vgbench.metrics.bias:cue_conflict')\n"
    )
    env = {"PYTHONPATH": str(install(tmp_path / "plugins", "bare-plugin", plugin))}
    answer = vgbench("score", "bare", write_csv(tmp_path / "p.csv", truth()), env=env)
    assert answer.code == 2 and "the scorer of bare needs the column 'shape'" in answer.err


RANKED = """
from dataclasses import replace
from vgbench import hookimpl
from vgbench.metrics.declared import ranking_metrics
from vgbench_tasks import digits

@hookimpl
def vgbench_offer_tasks():
    (task,) = digits.vgbench_offer_tasks()
    several = ranking_metrics(several_labels=True)
    yield replace(task, name="several", scorer="vgbench.metrics.multilabel:eleven_point_map", metrics=several)
    two = replace(task, name="two", scorer="vgbench.metrics.ranking:roc_auc", scorer_options={"positive": "digit-3"})
    yield replace(two, metrics=ranking_metrics(several_labels=False))
    yield replace(task, name="measured", scorer=None)
"""


def test_scores_of_several_labels_and_of_two_classes(vgbench: Command, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(install(tmp_path / "plugins", "ranked-plugin", RANKED))}
    rows = truth()
    scores = [
        [float(digit == f"digit-{k}") + (k == (i + 1) % 10) for k in range(10)] for i, (_, digit) in enumerate(rows)
    ]
    given = write_csv(
        tmp_path / "p.csv",
        [(sample, json.dumps(row)) for (sample, _), row in zip(rows, scores, strict=True)],
        names=("sample_id", "scores"),
    )
    lists = [sorted({digit, f"digit-{(i + 1) % 10}"}) for i, (_, digit) in enumerate(rows)]
    text = write_csv(
        tmp_path / "labels.csv",
        [(sample, "|".join(names)) for (sample, _), names in zip(rows, lists, strict=True)],
        names=("sample_id", "class_ids"),
    )
    pq.write_table(pa.table({"sample_id": [r[0] for r in rows], "class_ids": lists}), tmp_path / "labels.parquet")
    for labels in (text, str(tmp_path / "labels.parquet")):
        answer = vgbench("score", "several", given, "--labels", labels, "--per-class", "--json", env=env)
        assert [m["value"] for m in answer.json["metrics"]] == [1.0, 1.0] and len(answer.json["per_class"]) == 10
        assert [m["name"] for m in answer.json["metrics"]] == ["eleven_point_map", "mean_auc"]
    found = vgbench("score", "two", given, "--json", env=env).json["metrics"]
    ahead = [(s[3], digit == "digit-3") for s, (_, digit) in zip(scores, rows, strict=True)]
    pairs = [(p > n) + (p == n) / 2 for p, is_three in ahead if is_three for n, other in ahead if not other]
    assert found[0]["value"] == pytest.approx(sum(pairs) / len(pairs)) and found[0]["chance"] == 0.5
    assert found[0]["ci"]["lo"] < found[0]["value"] < found[0]["ci"]["hi"]


def test_what_a_ranking_cannot_be_scored_from_is_named(vgbench: Command, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(install(tmp_path / "plugins", "ranked-plugin", RANKED))}
    bare = write_csv(tmp_path / "p.csv", truth())
    answer = vgbench("score", "two", bare, env=env)
    assert answer.code == 2 and "the scorer of two needs the column 'scores'" in answer.err
    assert "a number for each class" in answer.err
    several = [(sample, f"{digit}|digt-4") for sample, digit in truth()]
    labels = write_csv(tmp_path / "l.csv", several, names=("sample_id", "class_ids"))
    answer = vgbench("score", "several", bare, "--labels", labels, env=env)
    assert answer.code == 2 and "did you mean 'digit-4'?" in answer.err
    labels = write_csv(
        tmp_path / "l.csv", [(sample, "digit-1|") for sample, _ in truth()], names=("sample_id", "class_ids")
    )
    answer = vgbench("score", "several", bare, "--labels", labels, env=env)
    assert answer.code == 2 and "359 samples have no class_ids, or an empty one" in answer.err
    answer = vgbench("score", "measured", bare, env=env)
    assert answer.code == 2 and "there are no predictions to score" in answer.err
    assert "vgbench run --source SOURCE --tasks measured" in answer.err


def test_scores_alone_predict_the_highest_class(vgbench: Command, tmp_path: Path) -> None:
    scores = [[float(digit == f"digit-{k}") for k in range(10)] for _, digit in truth()]
    pq.write_table(pa.table({"sample_id": [row[0] for row in truth()], "scores": scores}), tmp_path / "p.parquet")
    assert vgbench("score", "digits", "p.parquet", "--json").json["metrics"][0]["value"] == 1.0


def test_torch_is_never_imported(tmp_path: Path) -> None:
    predictions = write_csv(tmp_path / "p.csv", truth())
    code = (
        "import sys; from vgbench.cli import main; "
        f"code = main(['--home', {str(tmp_path / 'home')!r}, 'score', 'digits', {predictions!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
