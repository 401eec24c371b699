"""Rows from cells: what is averaged, what gets an interval, who is tied with whom."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.leaderboard.made import answers, make_cell, write_run

from vgbench.errors import CorruptArtifact
from vgbench.results import Cell, Items, Leaderboard, dump, training_runs
from vgbench_leaderboard.build import ONE_RUN, build

N = 400
Made = list[tuple[Cell, list[float]]]


def trained(source: str, share: float, *, runs: int = 3, sees: str = "class names") -> Made:
    rights = [answers(N, share, seed=hash_of(source) + k) for k in range(runs)]
    return [(make_cell(source, right, train=k, sees=sees), right) for k, right in enumerate(rights)]


def hash_of(source: str) -> int:
    return sum(map(ord, source)) * 1000


def board_of(made: Made) -> Leaderboard:
    items: Mapping[str, Items] = {
        cell.digest: Items(tuple(f"s{i:05d}" for i in range(len(right))), np.asarray(right)) for cell, right in made
    }
    return build([cell for cell, _ in made], lambda cell: items.get(cell.digest))


def groups_of(board: Leaderboard) -> dict[str, list[int] | None]:
    return {row.source: next(iter(row.values.values())).tie_groups for row in board.rows}


def test_one_training_run_gives_no_tie_group_and_says_so() -> None:
    board = board_of([*trained("a", 0.9, runs=1), *trained("b", 0.5, runs=1)])
    for row in board.rows:
        (value,) = row.values.values()
        assert value.runs == 1 and value.tie_groups is None and row.note == ONE_RUN
        assert value.ci is not None and value.ci.method == "wilson"


def test_rows_far_apart_get_groups_of_their_own_and_equal_ones_share() -> None:
    board = board_of([*trained("best", 0.9), *trained("also", 0.9), *trained("worst", 0.5)])
    groups = groups_of(board)
    assert groups["best"] == groups["also"] == [1] and groups["worst"] == [2]
    for row in board.rows:
        (value,) = row.values.values()
        assert value.runs == 3 and row.note is None and value.value == pytest.approx(np.mean(value.by_seed))
        assert value.ci is not None and value.ci.method == "hierarchical bootstrap"
        assert value.value is not None and value.ci.lo < value.value < value.ci.hi


def test_sources_that_saw_more_are_never_tied_with_those_that_saw_less() -> None:
    made = [*trained("a", 0.9), *trained("b", 0.9), *trained("real", 0.9, sees="full labelled set")]
    assert groups_of(board_of(made)) == {"a": [1], "b": [1], "real": None}
    two = groups_of(board_of([*made, *trained("originals", 0.9, sees="full labelled set")]))
    assert two == {"a": [1], "b": [1], "real": [2], "originals": [2]}


def test_row_with_a_failed_run_takes_part_in_no_comparison() -> None:
    failed = make_cell("b", [0.0], train=3, status="failed")
    board = board_of([*trained("a", 0.9), *trained("b", 0.9), (failed, []), *trained("d", 0.9)])
    values = {row.source: next(iter(row.values.values())) for row in board.rows}
    assert values["b"].missing == 1 and values["b"].tie_groups is None
    assert values["a"].tie_groups == values["d"].tie_groups == [1]
    assert failed.digest not in {digest for row in board.rows for digest in row.cells}


def test_rows_are_the_same_bytes_in_whatever_order_the_cells_come() -> None:
    made = [*trained("a", 0.9), *trained("b", 0.85), *trained("c", 0.8)]
    first = dump(board_of(made))
    for seed in range(3):
        random.Random(seed).shuffle(made)
        assert dump(board_of(made)) == first


def test_row_does_not_change_when_another_source_joins() -> None:
    alone = board_of(trained("a", 0.9)).rows[0]
    joined = next(row for row in board_of([*trained("a", 0.9), *trained("z", 0.7)]).rows if row.source == "a")
    (one,), (two,) = alone.values.values(), joined.values.values()
    assert one.ci == two.ci and one.value == two.value


def test_run_folder_is_read_and_cells_without_items_get_no_interval(tmp_path: Path) -> None:
    made = [*trained("a", 0.9), *trained("b", 0.5)]
    whole = Leaderboard.model_validate_json((write_run(tmp_path / "run", made) / "leaderboard.json").read_text())
    assert groups_of(whole) == {"a": [1], "b": [2]}
    for row in build([cell for cell, _ in made]).rows:
        (value,) = row.values.values()
        assert value.ci is None and value.tie_groups is None and value.runs == 3


def test_cells_of_one_column_on_other_samples_are_refused() -> None:
    made = trained("a", 0.9)
    items = {cell.digest: Items(tuple(f"{k}-{i}" for i in range(N)), np.ones(N)) for k, (cell, _) in enumerate(made)}
    with pytest.raises(CorruptArtifact, match="different samples"):
        build([cell for cell, _ in made], lambda cell: items[cell.digest])


def test_one_score_under_two_spellings_of_the_options_counts_once() -> None:
    """An option that a graph does not read (a probe, where nothing is fitted) makes another cell of the same score."""
    cell = make_cell("a", [1.0, 0.0, 1.0, 1.0])
    again = cell.model_copy(update={"digest": "f" * 64})
    (value,) = build([cell, again]).rows[0].values.values()
    assert value.by_seed == [0.75] and value.ci is not None and value.missing == 0


def test_training_runs_are_counted_by_the_axis_that_trains() -> None:
    def runs(*seeds: dict[str, int]) -> list[list[dict[str, int]]]:
        found = training_runs(make_cell("a", [1.0], seeds=seed) for seed in seeds)
        return [[cell.seeds for cell in run] for run in found]

    probes = [{"train": t, "probe": p} for t in (0, 1) for p in (0, 1)]
    assert runs(*probes) == [probes[:2], probes[2:]]  # probe seeds are averaged within a training
    assert len(runs({"probe": 0}, {"probe": 1})) == 2  # nothing is pre-trained: the probe's fit is the training
    assert len(runs({"train": 0, "probe": 0}, {"train": 0, "probe": 1})) == 1
    sets = [{"source": s, "train": t} for s in (0, 1) for t in (0, 1, 2)]
    assert runs(*sets) == [sets[:3], sets[3:]]  # two image sets: two independent runs, not six
    assert len(runs({"source": 0, "train": 0}, {"source": 1, "train": 0})) == 1
