"""Aggregates over finished cells: complete or refused, the same bytes in any order, and what plain code finds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import numpy as np
import pytest
from tests.conftest import Answer
from tests.leaderboard.made import make_cell, write_run

from vgbench import UsageError, stats
from vgbench.cli import main
from vgbench.commands.answers import AggregateAnswer
from vgbench.commands.table import notes
from vgbench.results import Cell, Correlation, Items, Leaderboard, Observed, Production, dump, read_cell
from vgbench.store import OBSERVED
from vgbench_leaderboard.aggregate.correlation import correlations
from vgbench_leaderboard.aggregate.cost import costs, measured, published_prices
from vgbench_leaderboard.aggregate.figures import is_in_first_half
from vgbench_leaderboard.aggregate.gain import over_suite
from vgbench_leaderboard.aggregate.readings import Suite, suite_of
from vgbench_leaderboard.aggregate.strategy import strategies
from vgbench_leaderboard.build import build, row_keys

SETS = ["g/a", "g/b", "g/c"]
N = 200
Made = list[tuple[Cell, list[float]]]


def right(share: float, *, shift: int = 0) -> list[float]:
    """Return N answers of which a share is right; a shift makes others the right ones."""
    return np.roll(np.arange(N) < round(share * N), shift).astype(float).tolist()


def read_out(
    source: str, dataset: str, readout: str, answers: list[float], **given: object
) -> tuple[Cell, list[float]]:
    options = {"readout": readout, "encoder": "clip", **given.pop("options", {})}  # type: ignore[dict-item]
    given.setdefault("seeds", {})
    given.setdefault("images", (source, 100))
    return make_cell(source, answers, column=dataset, options=options, **given), answers  # type: ignore[arg-type]


def world(*, sources: tuple[str, ...] = ("s", "t"), **given: object) -> Made:
    """Return zero-shot, CLER and a probe of some sources on three data sets."""
    return [
        read_out(source, dataset, readout, right(share + 0.05 * i + 0.1 * k, shift=7 * i), **given)
        for k, source in enumerate(sources)
        for i, dataset in enumerate(SETS)
        for readout, share in (("zeroshot", 0.5 - 0.1 * k), ("cler", 0.4), ("linear-probe", 0.6))
    ]


def items(made: Made) -> Callable[[Cell], Items | None]:
    found = {
        cell.digest: Items(tuple(f"s{i:05d}" for i in range(len(values))), np.asarray(values)) for cell, values in made
    }
    return lambda cell: found.get(cell.digest)


def suite(made: Made, tasks: list[str] | None = None) -> Suite:
    cells = [cell for cell, _ in made]
    return suite_of("g", tasks or SETS, cells, row_keys(cells))


def board_of(made: Made) -> Leaderboard:
    return build([cell for cell, _ in made], items(made), suites={"g": SETS})


# ── Means and gains ──────────────────────────────────────────────────────────────────────────────


def test_gain_is_the_mean_over_data_sets_of_the_difference_from_zero_shot() -> None:
    made = world()
    found = {(one.row, one.readout): one for one in over_suite(suite(made), items(made))}
    values = {(c.source.name, c.task.name, c.task.options["readout"]): fmean(v) for c, v in made}
    for row, source in enumerate(("s", "t")):
        for readout in ("cler", "linear-probe"):
            one = found[row, readout]
            gains = [values[source, d, readout] - values[source, d, "zeroshot"] for d in SETS]
            assert one.value == pytest.approx(fmean(values[source, d, readout] for d in SETS))
            assert one.gain == pytest.approx(fmean(gains)) and one.reason is one.gain_reason is one.ci_reason is None
            assert one.ci is not None and one.gain is not None and one.ci.lo < one.gain < one.ci.hi
            assert len(one.cells) == 6
        zeroshot = found[row, "zeroshot"]
        assert zeroshot.value is not None and zeroshot.gain is None and zeroshot.gain_reason is None


def test_mean_of_a_suite_with_a_missing_data_set_is_refused_and_names_it() -> None:
    made = [
        (c, v) for c, v in world() if (c.source.name, c.task.name, c.task.options["readout"]) != ("s", "g/b", "cler")
    ]
    failed = make_cell("t", right(0.4), column="g/c", options={"readout": "cler", "encoder": "clip"}, status="failed")
    made = [(c, v) for c, v in made if (c.source.name, c.task.name, c.task.options["readout"]) != ("t", "g/c", "cler")]
    found = {(one.row, one.readout): one for one in over_suite(suite([*made, (failed, [])]), items(made))}
    assert found[0, "cler"].value is found[0, "cler"].gain is found[1, "cler"].value is None
    assert found[0, "cler"].reason == "missing: g/b (no cell)"
    assert found[1, "cler"].reason == "missing: g/c (failed: made to fail)"
    assert found[0, "linear-probe"].gain is not None


def test_gain_without_zero_shot_is_refused_and_the_mean_stands() -> None:
    made = [(c, v) for c, v in world() if (c.task.name, c.task.options["readout"]) != ("g/a", "zeroshot")]
    (probe, *_) = (one for one in over_suite(suite(made), items(made)) if one.readout == "linear-probe")
    assert probe.value is not None and probe.gain is None and probe.gain_reason == "missing: g/a (no zero-shot cell)"


def test_gain_without_values_per_item_has_no_interval_and_says_so() -> None:
    made = world()
    (probe, *_) = (one for one in over_suite(suite(made), lambda cell: None) if one.readout == "linear-probe")
    assert probe.gain is not None and probe.ci is None and probe.ci_reason == "g/a has no value per item"


def test_zero_shot_of_another_encoder_is_not_compared_with() -> None:
    made = [(c, v) for c, v in world() if c.task.options["readout"] != "zeroshot"]
    made += [read_out("s", d, "zeroshot", right(0.5), options={"encoder": "other"}) for d in SETS]
    (probe, *_) = (one for one in over_suite(suite(made), items(made)) if one.readout == "linear-probe")
    assert probe.gain is None and probe.gain_reason is not None and "no zero-shot cell" in probe.gain_reason


def test_probe_with_several_seeds_is_averaged_and_zero_shot_stays_one() -> None:
    made = [(c, v) for c, v in world(sources=("s",)) if c.task.options["readout"] != "linear-probe"]
    for k in range(3):
        made += [read_out("s", d, "linear-probe", right(0.6 + 0.02 * k), seeds={"probe": k}) for d in SETS]
    (probe,) = (one for one in over_suite(suite(made), items(made)) if one.readout == "linear-probe")
    assert probe.value == pytest.approx(0.62) and probe.ci is not None
    assert probe.ci.method == "MOVER of hierarchical bootstrap"


def test_options_tell_readouts_apart_only_where_the_graphs_differ() -> None:
    made = world(sources=("s",))
    made += [read_out("s", d, "linear-probe", right(0.7), options={"probe": "other"}) for d in SETS]
    ways = [way.readout for way in suite(made).ways]
    assert ways == ["zeroshot", "cler", "linear-probe:probe=None", "linear-probe:probe=other"]


def test_data_sets_read_out_by_different_graphs_are_refused() -> None:
    made = [*world(sources=("s",)), read_out("t", "g/a", "cler", right(0.4), version="2")]
    with pytest.raises(UsageError, match="g/a was read out as cler by 2 different graphs"):
        suite(made)


def test_aggregates_are_the_same_bytes_in_whatever_order_the_cells_come() -> None:
    made = world(kind="generated")
    first = dump(board_of(made))
    assert '"gain": 0.' in first and '"usd": ' in first
    for seed in range(3):
        random.Random(seed).shuffle(made)
        assert dump(board_of(made)) == first


def test_suite_without_readouts_is_averaged_too() -> None:
    made = [(make_cell("s", right(0.2 * i), column=d), right(0.2 * i)) for i, d in enumerate(SETS, 1)]
    (one,) = board_of(made).aggregates.means
    assert one.value == pytest.approx(0.4) and one.readout == ""


def test_group_of_a_finished_run_is_aggregated_by_its_name(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    sets = [f"toybox/genbench/{name}" for name in ("tools", "creatures", "fishes")]
    made = [read_out("s", d, r, right(0.5 + 0.1 * i)) for i, d in enumerate(sets) for r in ("zeroshot", "cler")]
    write_run(tmp_path / "run", made, suites={"toybox/genbench": sets})
    asked = "leaderboard", "aggregate", "gain", "run", "--suite", "toybox/genbench/common", "--json"
    found = AggregateAnswer.model_validate(vgbench(*asked).json)
    assert found.suites == {"toybox/genbench/common": sets[:2]}
    assert [one.value for one in found.aggregates.means] == [pytest.approx(0.55)] * 2


# ── A probe's best epoch on the test set ─────────────────────────────────────────────────────────

BEST = "linear-probe:best_test_epoch"


def elevater(**given: object) -> Made:
    """Return zero-shot, and a probe that reports its best epoch; values per item lie beside it all the same."""
    made = [read_out("s", d, "zeroshot", right(0.5), source_options=given.get("source_options")) for d in SETS]
    options = {"probe": "elevater-reference", **given.pop("options", {})}  # type: ignore[dict-item]
    given = {"metric": "best_test_epoch", **given}
    return made + [read_out("s", d, "linear-probe", right(0.6), options=options, **given) for d in SETS]


def test_best_epoch_is_called_that_in_a_suite_and_its_gain_has_no_interval() -> None:
    made = elevater()
    zeroshot, probe = over_suite(suite(made), items(made))
    assert zeroshot.readout == "zeroshot" and probe.readout == BEST and probe.gain == pytest.approx(0.1)
    assert probe.ci is None and probe.ci_reason is not None and "g/a: best_test_epoch is the best of" in probe.ci_reason


def test_best_epoch_stands_apart_from_a_probe_that_reports_the_data_sets_own_metric() -> None:
    made = elevater()[:-1]
    with_n = {d: {"n_test": "50"} if d == "g/c" else {} for d in SETS}  # an option of that data set alone
    options = {"probe": "elevater-reference", **with_n["g/c"]}
    failed = read_out("s", "g/c", "linear-probe", right(0.1), options=options, status="failed")
    own_options = {d: {"probe": "logreg", **with_n[d]} for d in SETS}
    made += [failed, *(read_out("s", d, "linear-probe", right(0.7), options=own_options[d]) for d in SETS)]
    found = {one.readout: one for one in over_suite(suite(made), items(made))}
    assert list(found) == [
        "zeroshot",
        "linear-probe:probe=elevater-reference:best_test_epoch",
        "linear-probe:probe=logreg",
    ]
    best, own = list(found.values())[1:]
    assert best.value is None and best.reason == "missing: g/c (failed: made to fail)"
    assert own.gain == pytest.approx(0.2) and own.ci is not None


def test_best_epochs_of_some_data_sets_and_the_own_metric_of_others_have_no_mean() -> None:
    made = [m for m in elevater() if (m[0].task.name, m[0].task.options["readout"]) != ("g/c", "linear-probe")]
    made.append(read_out("s", "g/c", "linear-probe", right(0.7), options={"probe": "logreg"}))
    means = [one for one in over_suite(suite(made), items(made)) if one.readout != "zeroshot"]
    assert [one.readout for one in means] == ["linear-probe", BEST] and not any(one.value for one in means)


def test_best_epoch_of_several_zero_shot_columns_is_compared_with_that_of_its_options() -> None:
    made: Made = []
    for n, share in (("1", 0.5), ("2", 0.4)):
        for cell, values in elevater(options={"n": n}):
            if cell.task.options["readout"] == "zeroshot":
                made.append(read_out("s", cell.task.name, "zeroshot", right(share), options={"n": n}))
            else:
                made.append((cell, values))
    gains = {one.readout: one.gain for one in over_suite(suite(made), items(made)) if one.readout[0] == "l"}
    expected = {"linear-probe:n=1:best_test_epoch": 0.1, "linear-probe:n=2:best_test_epoch": 0.2}
    assert gains == {readout: pytest.approx(gain) for readout, gain in expected.items()}


def test_several_seeds_give_a_best_epoch_no_interval_and_no_ties() -> None:
    """The hierarchical bootstrap over runs × items would speak about the items by which the epoch was chosen."""
    made = [
        read_out(s, "g/a", "linear-probe", right(0.6, shift=k), metric="best_test_epoch", seeds={"probe": k})
        for s in ("s", "t")
        for k in (0, 1)
    ]
    for row in board_of(made).rows:
        (value,) = row.values.values()
        assert value.metric == "best_test_epoch" and value.runs == 2 and value.value == pytest.approx(0.6)
        assert value.ci is None and value.tie_groups is None


def test_best_epoch_chooses_no_strategy() -> None:
    made: Made = []
    for prompts in ("plain", "long"):
        strategy = {"source_options": {"prompts": prompts}}
        made += [*elevater(**strategy), *elevater(options={"split": "val"}, **strategy)[len(SETS) :]]
    best, oracle = strategies(suite(made))
    assert best.readout == oracle.readout == BEST and best.label == "best" and oracle.label == "oracle"
    assert best.value is best.gain is None and best.reason is not None and "looked at the answers" in best.reason
    assert oracle.value == pytest.approx(0.6)


def test_commands_say_that_a_figure_is_the_best_epochs(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    write_run(tmp_path / "run", elevater(), suites={"g": SETS})
    shown = vgbench("leaderboard", "show", "run").out
    assert shown.count("best_test_epoch") > 2 and f"no interval of {BEST} (clip): g/a: best_test_epoch is the" in shown
    assert "+8" not in shown and "best_test_epoch is the best of" in vgbench("leaderboard", "show", "run", "--all").out
    gain = vgbench("leaderboard", "aggregate", "gain", "run").out
    assert f"{BEST} (clip)" in gain and "no interval holds" in gain
    found = AggregateAnswer.model_validate(vgbench("leaderboard", "aggregate", "gain", "run", "--json").json)
    assert [one.readout for one in found.aggregates.means] == ["zeroshot", BEST]
    compared = vgbench("compare", "run:s", "run:s").out
    assert "not tested: best_test_epoch is the best of" in compared


# ── The best strategy ────────────────────────────────────────────────────────────────────────────


def strategic(*, with_val: bool) -> Made:
    """Return two strategies of one source: validation prefers the first on g/a, test the second everywhere."""
    made: Made = []
    for k, prompts in enumerate(("plain", "long")):
        given = {"source_options": {"prompts": prompts}}
        for d in SETS:
            made.append(read_out("sd", d, "zeroshot", right(0.3), **given))
            made.append(read_out("sd", d, "cler", right(0.5 + 0.1 * k), **given))
            if with_val:
                share = 0.6 - 0.1 * k if d == "g/a" else 0.5 + 0.1 * k
                made.append(read_out("sd", d, "cler", right(share), options={"split": "val"}, **given))
    return made


def test_best_strategy_is_chosen_on_validation_and_the_oracle_is_called_one() -> None:
    made = strategic(with_val=True)
    best, oracle = strategies(suite(made))
    rows = [cell.source.options["prompts"] for cell, _ in sorted(made, key=lambda m: str(m[0].source.options))]
    long, plain = 0, 1
    assert rows[0] == "long" and best.rows == [0, 1]
    assert best.label == "best" and best.chosen == {"g/a": plain, "g/b": long, "g/c": long}
    assert best.value == pytest.approx((0.5 + 0.6 + 0.6) / 3) and best.gain == pytest.approx(best.value - 0.3)
    assert oracle.label == "oracle" and oracle.chosen_on == "test" and oracle.value == pytest.approx(0.6)


def test_best_strategy_without_validation_is_refused_and_says_what_is_needed() -> None:
    best, oracle = strategies(suite(strategic(with_val=False)))
    assert best.value is None and best.reason is not None and "split=val" in best.reason
    assert oracle.value == pytest.approx(0.6) and oracle.reason is None


def test_source_with_one_setting_has_nothing_to_choose_and_is_named(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    write_run(tmp_path / "one", world(), suites={"g": SETS})
    said = "g: nothing to choose between for s, t: a source needs two settings of an option or more"
    assert said in vgbench("leaderboard", "aggregate", "strategy", "one").out
    found = AggregateAnswer.model_validate(vgbench("leaderboard", "aggregate", "strategy", "one", "--json").json)
    assert found.aggregates.strategies == [] and len(found.notes) == 1 and found.notes[0].startswith(said)
    write_run(tmp_path / "two", [*strategic(with_val=False), *world(sources=("s",))], suites={"g": SETS})
    shown = vgbench("leaderboard", "aggregate", "strategy", "two").out
    assert "nothing to choose between for s:" in shown and "oracle (upper bound)" in shown
    write_run(tmp_path / "several", strategic(with_val=False), suites={"g": SETS})
    assert "nothing to choose" not in vgbench("leaderboard", "aggregate", "strategy", "several").out


def test_strategy_with_a_missing_cell_is_refused() -> None:
    made = [m for m in strategic(with_val=False) if (m[0].task.name, m[0].source.options["prompts"]) != ("g/b", "long")]
    _, oracle = strategies(suite(made))
    assert oracle.value is None and oracle.reason is not None and "g/b (no cell) in test of row 0" in oracle.reason


# ── Cost ─────────────────────────────────────────────────────────────────────────────────────────


def test_images_of_one_set_are_paid_for_once_and_points_are_over_zero_shot() -> None:
    made = world(sources=("s",), kind="generated")  # three data sets, all from one set of 100 images
    means = over_suite(suite(made), items(made))
    (cost,) = costs(suite(made), means, published_prices())
    assert cost.images == 100 and cost.usd == pytest.approx(0.02) and cost.citation and "2307.13697" in cost.citation
    gain = next(mean.gain for mean in means if mean.readout == "linear-probe")
    assert gain and cost.usd_per_point["linear-probe (clip)"] == pytest.approx(0.02 / (100 * gain))
    assert cost.usd_per_point["cler (clip)"] is None  # below zero-shot: no price buys a point


def test_zero_shot_cell_that_reads_no_image_is_no_part_of_the_cost() -> None:
    made = [m for m in world(sources=("s",), kind="real") if m[0].task.options["readout"] != "zeroshot"]
    made += [read_out("s", d, "zeroshot", right(0.5), images=None, kind="real") for d in SETS]
    (cost,) = costs(suite(made), over_suite(suite(made), items(made)), published_prices())
    assert cost.images == 100 and cost.usd == pytest.approx(1.2) and cost.usd_per_point["linear-probe (clip)"]
    alone = [m for m in made if m[0].task.options["readout"] == "zeroshot"]
    (none,) = costs(suite(alone), [], published_prices())
    (took,) = measured(suite(alone), [], lambda cell: None)
    assert none.images is none.usd is None and none.reason == took.reason == "no cell reads an image of this source"


def test_images_that_also_choose_a_strategy_are_paid_for_once() -> None:
    """Read out on the validation split, copies of other images are left out: another image set of the same images."""
    made = world(sources=("s",), kind="real")
    given = {"options": {"split": "val"}, "images": ("s without val", 100), "kind": "real"}
    made += [read_out("s", d, "cler", right(0.5), **given) for d in SETS]
    (cost,) = costs(suite(made), [], published_prices())
    assert cost.images == 100 and cost.usd == pytest.approx(1.2)


@pytest.mark.parametrize("shared", [True, False])
def test_images_of_which_real_ones_that_choose_a_probe_are_left_out_are_paid_for_once(shared: bool) -> None:
    """With `val=real` a probe's image set lacks copies of the validation images too: the images are CLER's own."""
    made: Made = []
    for d in SETS:
        name = "s" if shared else f"s for {d}"
        made.append(read_out("s", d, "cler", right(0.4), images=(name, 100), kind="real"))
        fewer = {"images": (f"{name} without val", 97), "kind": "real"}
        made.append(read_out("s", d, "linear-probe", right(0.6), options={"val": "real"}, **fewer))
    (cost,) = costs(suite(made), [], published_prices())
    (took,) = measured(suite(made), [], lambda cell: Production(fixed={}, marginal={"b" * 64: 8}))
    n = 100 if shared else 300
    assert cost.images == took.images == n and cost.usd == pytest.approx(0.012 * n)


def test_image_sets_of_several_seeds_are_paid_for_each() -> None:
    made = [
        read_out("s", d, "cler", right(0.4), images=(f"s of {seed}", 100), kind="real", seeds={"source": seed})
        for d in SETS
        for seed in (0, 1)
    ]
    (cost,) = costs(suite(made), [], published_prices())
    assert cost.images == 200 and cost.usd == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("kind", "paid"),
    [("generated", 400), ("rendered", 400), ("retrieved", 100), ("real", 100), ("files", 100), ("mixture", 100)],
)
def test_images_that_were_made_and_left_out_are_paid_for_and_others_are_not(kind: str, paid: int) -> None:
    """As `keep=1/4` and a safety checker leave them out; what retrieval passes over has cost nothing."""
    left_out = {"not among the best of the filter": 290, "flagged by the safety checker": 10}
    made = world(sources=("s",), kind=kind, rejected=left_out)
    prices = published_prices().changed({kind: 0.5})
    means = over_suite(suite(made), items(made))
    (cost,) = costs(suite(made), means, prices)
    assert (cost.images, cost.images_paid, cost.usd) == (100, paid, 0.5 * paid)
    gain = next(mean.gain for mean in means if mean.readout == "linear-probe")
    assert gain and cost.usd_per_point["linear-probe (clip)"] == pytest.approx(0.5 * paid / (100 * gain))


@pytest.mark.parametrize("kind", ["retrieved", "rendered", "files", "mixture", "never-heard-of"])
def test_kind_without_a_published_price_has_no_cost_and_a_reason(kind: str) -> None:
    made = world(sources=("s",), kind=kind)
    (cost,) = costs(suite(made), [], published_prices())
    assert cost.usd is None and cost.reason and cost.images == 100
    (own,) = costs(suite(made), [], published_prices().changed({kind: 0.5}))
    assert own.usd == 50 and own.reason is None and "own" in own.version


def test_cost_of_an_incomplete_suite_is_refused() -> None:
    made = [m for m in world(sources=("s",), kind="real") if m[0].task.name != "g/c"]
    (cost,) = costs(suite(made), [], published_prices())
    assert cost.usd is cost.images is None and cost.reason == "missing: g/c (no finished cell)"


def test_command_shows_what_was_made_and_what_a_point_took(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    made = world(sources=("s",), kind="generated", rejected={"black": 300})
    run = write_run(tmp_path / "run", made, suites={"g": SETS})
    production = Production(fixed={}, marginal={"b" * 64: 7200})
    observed = Observed(seconds={}, production=production, host="", versions={})
    for folder in (run / "cells").iterdir():
        (folder / OBSERVED).write_text(dump(observed))
    shown = vgbench("leaderboard", "aggregate", "cost", "run", "--usd-per-hour", "3").out
    assert "100 of 400 made" in shown and "USD/point by time" in shown, shown
    answer = vgbench("leaderboard", "aggregate", "cost", "run", "--usd-per-hour", "3", "--json")
    found = AggregateAnswer.model_validate(answer.json)
    gain = 0.6 - 0.5  # of the probe over zero-shot, on every data set
    assert found.aggregates.costs[0].usd == pytest.approx(0.08)
    assert found.measured[0].usd_per_point["linear-probe (clip)"] == pytest.approx(6 / (100 * gain))
    assert f"{6 / (100 * gain):.4g}" in shown
    assert "cost of s: 400 images were made, 100 of them kept" in vgbench("leaderboard", "show", "run").out


def test_measured_cost_counts_shared_nodes_once_and_fixed_apart() -> None:
    made = world(sources=("s",))
    adapter, shared, own = "a" * 64, "b" * 64, {d: f"{i:064x}" for i, d in enumerate(SETS)}

    def production(cell: Cell) -> Production | None:
        return Production(fixed={adapter: 100}, marginal={shared: 8, own[cell.task.name]: 2})

    means = over_suite(suite(made), items(made))
    (found,) = measured(suite(made), means, production, usd_per_hour=3600)
    assert (found.fixed_seconds, found.marginal_seconds) == (100, 14)
    assert (found.fixed_usd, found.marginal_usd, found.reason) == (100, 14, None)
    gain = next(mean.gain for mean in means if mean.readout == "linear-probe")
    assert gain and found.usd_per_point["linear-probe (clip)"] == pytest.approx(114 / (100 * gain))
    assert found.usd_per_point["cler (clip)"] is None  # below zero-shot: no second buys a point
    (free,) = measured(suite(made), means, production)
    assert free.fixed_usd is None and free.fixed_seconds == 100 and not any(free.usd_per_point.values())
    (unknown,) = measured(suite(made), means, lambda cell: None, usd_per_hour=3600)
    assert unknown.fixed_seconds is None and unknown.reason and "before its seconds were kept" in unknown.reason
    assert not any(unknown.usd_per_point.values())


def test_a_cell_whose_seconds_were_not_kept_is_named_beside_another_of_its_task() -> None:
    made = world(sources=("s",))
    old = [cell for cell, _ in made if (cell.task.name, cell.task.options["readout"]) == ("g/b", "cler")]

    def production(cell: Cell) -> Production | None:
        return None if cell in old else Production(fixed={}, marginal={"b" * 64: 8})

    (found,) = measured(suite(made), [], production)
    assert found.marginal_seconds is None and found.reason == "missing: g/b (made before its seconds were kept)"


# ── Correlation ──────────────────────────────────────────────────────────────────────────────────


def many(
    *, rows: int = 12, noise: float = 0.0, shared: bool = False, withheld: Mapping[str, int] = MappingProxyType({})
) -> Made:
    """Return sources of rising quality, with CLER, a probe, and described images; ``noise`` on CLER alone or shared.

    ``withheld``: by data set, the number of rows without FID, from the first.
    """
    draw = np.random.default_rng(0)
    made: Made = []
    for k in range(rows):
        for d in SETS:
            level = 0.5 if shared else 0.3 + 0.4 * k / rows
            answers = (draw.uniform(size=N) < level).astype(float).tolist()
            given = {"source_options": {"k": f"{k:02d}"}}
            cler = answers if shared else right(level + noise * draw.normal())
            made.append(read_out("src", d, "cler", cler, **given))
            made.append(read_out("src", d, "linear-probe", answers, **given))
            fid = None if k < withheld.get(d, 0) else 100.0 - k
            more = {"fid": fid, "vendi": 5.0, "mts": {"g/a": 0.1, "g/b": 0.2, "g/c": 0.3}[d]}
            cell = make_cell("src", [0.5], column=f"{d}/quality", seeds={}, more=more, **given)
            made.append((cell, [0.5]))
    return made


TASKS = [*SETS, *(f"{d}/quality" for d in SETS)]


def test_correlation_is_spearman_within_data_sets_averaged_over_them() -> None:
    from scipy.stats import spearmanr

    made = many(noise=0.1)
    found = next(
        one for one in correlations(suite(made, TASKS), items(made)) if one.figure == "cler" and not one.halves
    )
    values = {(c.source.options.get("k"), c.task.name, c.task.options.get("readout")): fmean(v) for c, v in made}
    expected = []
    for d in SETS:
        x = [values[f"{k:02d}", d, "cler"] for k in range(12)]
        y = [values[f"{k:02d}", d, "linear-probe"] for k in range(12)]
        expected.append(spearmanr(x, y).statistic)
        assert found.by_set[d] == pytest.approx(expected[-1], abs=1e-12)
    assert found.rho == pytest.approx(fmean(expected)) and found.n_rows == found.clusters == 12
    assert found.ci is not None and found.rho is not None and found.ci.lo < found.rho < found.ci.hi


def test_figure_that_is_better_when_low_is_turned_round_and_a_constant_one_refused() -> None:
    by_name = {one.figure: one for one in correlations(suite(many(), TASKS), lambda cell: None) if not one.halves}
    assert by_name["fid"].rho is not None and by_name["fid"].rho > 0.9
    assert by_name["vendi"].rho is None and by_name["vendi"].reason and "no order in g/a" in by_name["vendi"].reason


def test_tasks_below_a_data_set_describe_it_whether_the_suite_names_them_or_not() -> None:
    made = many()
    assert correlations(suite(made, SETS), items(made)) == correlations(suite(made, TASKS), items(made))


def test_halves_share_no_noise() -> None:
    made = many(rows=40, shared=True)  # CLER and probe are the same coin tosses: nothing but shared noise
    whole, halves = (one for one in correlations(suite(made, TASKS), items(made)) if one.figure == "cler")
    assert whole.rho == 1.0 and halves.halves and halves.rho is not None and abs(halves.rho) < 0.25
    first = [is_in_first_half(f"s{i:05d}") for i in range(10_000)]
    assert 0.48 < fmean(first) < 0.52


def test_correlation_of_few_sources_is_refused_and_incomplete_ones_are_left_out() -> None:
    few = correlations(suite(many(rows=4), TASKS), lambda cell: None)[0]
    assert few.rho is None and few.reason and "4 sources" in few.reason
    made = [m for m in many() if (m[0].source.options["k"], m[0].task.name) != ("03", "g/b")]
    found = correlations(suite(made, TASKS), lambda cell: None)[0]
    assert found.n_rows == 11 and found.left_out == ["src:k=03"] and found.rho is not None


def test_a_figure_is_correlated_over_the_data_sets_that_are_large_enough_for_it() -> None:
    """One that every row withholds is left out and named; one that some row has, or nobody measured, is needed."""

    def of(made: Made, name: str = "fid") -> Correlation:
        return next(c for c in correlations(suite(made, TASKS), lambda cell: None) if c.figure == name)

    whole = of(many())
    small = of(many(withheld={"g/b": 12}))
    assert small.rho is not None and small.left_out == ["g/b (withheld)"] and small.n_rows == 12
    assert small.by_set == {d: rho for d, rho in whole.by_set.items() if d != "g/b"}
    assert small.rho == pytest.approx(fmean(small.by_set.values()))
    partly = of(many(withheld={"g/b": 2}))
    assert partly.n_rows == 10 and partly.left_out == ["src:k=00", "src:k=01"] and set(partly.by_set) == set(SETS)
    nowhere = of(many(withheld=dict.fromkeys(SETS, 12)))
    assert nowhere.rho is None and nowhere.reason == "withheld in every data set: withheld"
    unmeasured = of([m for m in many() if m[0].task.name != "g/b/quality"])
    assert unmeasured.rho is None and unmeasured.reason and "g/b (no cell)" in unmeasured.reason


def test_gain_of_cler_is_held_against_text_similarity_over_data_sets() -> None:
    made = many()
    for d in SETS:
        made += [read_out("src", d, "zeroshot", right(0.3), source_options={"k": f"{k:02d}"}) for k in range(12)]
    (found,) = (one for one in correlations(suite(made, TASKS), items(made)) if one.within == "row")
    assert found.figure == "mts" and found.target == "gain of cler" and found.reason and "3 data sets" in found.reason


def test_gain_of_cler_goes_with_text_similarity_as_the_data_sets_are_ordered() -> None:
    """Five data sets, two sources: the gain's order is that of the similarity but for one or two swapped pairs."""
    sets = [f"g/{name}" for name in "abcde"]
    gains = {
        "s": [0.1, 0.2, 0.3, 0.5, 0.4],
        "t": [0.2, 0.1, 0.3, 0.5, 0.4],
    }  # ρ = 1 − 6 Σd² / (n (n² − 1)), Σd² 2 and 4
    made: Made = []
    for source, of_sets in gains.items():
        for i, (d, gain) in enumerate(zip(sets, of_sets, strict=True)):
            level = 0.4 - 0.05 * i  # without zero-shot taken off, CLER would be ordered otherwise
            made.append(read_out(source, d, "zeroshot", right(level)))
            made.append(read_out(source, d, "cler", right(level + gain)))
            more = {"mts": 0.1 * i}
            made.append((make_cell(source, [0.5], column=f"{d}/quality", seeds={}, more=more), [0.5]))
    tasks = [*sets, *(f"{d}/quality" for d in sets)]
    (found,) = (one for one in correlations(suite(made, tasks), items(made)) if one.within == "row")
    assert found.figure == "mts" and found.target == "gain of cler" and found.reason is None
    assert found.by_set == {"s": pytest.approx(0.9), "t": pytest.approx(0.8)} and found.rho == pytest.approx(0.85)
    assert found.clusters == 5 and found.n_rows == 2 and found.ci is not None and found.ci.lo <= 0.85 <= found.ci.hi


def test_two_encoders_are_correlated_in_every_pair_each_from_its_own_cells() -> None:
    from scipy.stats import spearmanr

    draw = np.random.default_rng(2)
    encoders, rows = ("clip", "dino"), 8
    shares = {
        (encoder, readout): [round(share, 3) for share in draw.permutation(np.linspace(0.2, 0.8, rows)).tolist()]
        for encoder in encoders
        for readout in ("cler", "linear-probe")
    }
    made = [
        read_out("src", d, readout, right(of[k]), options={"encoder": encoder}, source_options={"k": f"{k}"})
        for (encoder, readout), of in shares.items()
        for d in SETS
        for k in range(rows)
    ]
    found = {(one.encoder, one.target_encoder): one for one in correlations(suite(made), items(made)) if not one.halves}
    assert set(found) == {(a, b) for a in encoders for b in encoders}
    digests = {c.digest: (c.task.options["encoder"], c.task.options["readout"]) for c, _ in made}
    for (a, b), one in found.items():
        expected = spearmanr(shares[a, "cler"], shares[b, "linear-probe"]).statistic
        assert one.figure == "cler" and one.rho == pytest.approx(expected) and one.n_rows == rows
        assert {digests[cell] for cell in one.cells} == {(a, "cler"), (b, "linear-probe")}
    assert len({round(one.rho or 0, 6) for one in found.values()}) == 4  # else a pair could stand for another


def test_correlation_does_not_depend_on_the_order_of_cells() -> None:
    made = many(noise=0.1)
    first = correlations(suite(made, TASKS), items(made))
    random.Random(1).shuffle(made)
    assert correlations(suite(made, TASKS), items(made)) == first


# ── The command, and the table ───────────────────────────────────────────────────────────────────


def test_command_prints_each_aggregate_and_draws(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    made = many(noise=0.1)
    for d in SETS:
        made += [read_out("src", d, "zeroshot", right(0.3), source_options={"k": f"{k:02d}"}) for k in range(12)]
    write_run(tmp_path / "run", made, suites={"g": TASKS})
    for name, kept in (("gain", "means"), ("strategy", "strategies"), ("cost", "costs")):
        answer = vgbench("leaderboard", "aggregate", name, "run", "--json")
        assert answer.code == 0, answer.err
        found = AggregateAnswer.model_validate(answer.json)
        assert found.rows[3] == "src:k=03" and list(found.suites) == ["g"]
        assert [of for of in ("means", "strategies", "costs", "correlations") if getattr(found.aggregates, of)] == [
            kept
        ]
    drawn = vgbench("leaderboard", "aggregate", "correlation", "run", "-o", "c.png")
    assert drawn.code == 0 and (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "cler (clip)" in drawn.out and "two halves" in drawn.out and "picture: c.png" in drawn.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing", "run"), "no aggregate is called"),
        (("cost", "run", "--price", "rendered"), "KIND=USD"),
        (("gain", "run", "-o", "x.png"), "no picture"),
        (("gain", "run", "--suite", "h"), "no suite is called"),
        (("correlation", "run", "-o", "x.png", "--figure", "cler"), "no correlation of cler"),
    ],
)
def test_command_refuses_what_it_cannot_do(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    write_run(tmp_path / "run", world(), suites={"g": SETS})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["vgbench", "leaderboard", "aggregate", *words])
    assert main() == 2
    assert said in capsys.readouterr().err


def test_run_with_a_suite_is_shown_as_means_and_whole_with_all(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    write_run(tmp_path / "run", world(kind="generated"), suites={"g": SETS})
    short = vgbench("leaderboard", "show", "run").out
    for word in ("zeroshot", "cler", "linear-probe", "gain of", "cost", "USD/point", "mean over 3 data sets"):
        assert word in short, short
    assert "g/a" not in short.replace("vgbench leaderboard", "")
    whole = vgbench("leaderboard", "show", "run", "--all").out
    assert all(name in whole for name in SETS) and "mean over" not in whole


def test_many_cells_that_are_blocked_for_one_reason_share_a_line() -> None:
    blocked = [make_cell("s", [0.0], column=f"task{i}", status="failed") for i in range(4)]
    assert notes(build(blocked)) == [
        f"failed: s × 4 tasks, {min(blocked, key=lambda c: c.digest).task.name} first: made to fail"
    ]
    assert len(notes(build(blocked[:3]))) == 3


def test_real_run_keeps_what_its_images_took(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    few = vgbench("run", "--source", "toybox", "original", "--tasks", "digits", "--images-per-class", "4", "-o", "few")
    assert few.code == 0, few.err
    took = {}
    for folder in (tmp_path / "few" / "cells").iterdir():
        observed = Observed.model_validate_json((folder / "observed.json").read_text())
        assert observed.production is not None
        took[read_cell(folder).source.name] = observed.production
    assert len(took["toybox"].marginal) == 10 and took["toybox"].fixed == {}  # a node for each class; nothing ahead
    assert len(took["original"].marginal) == 1
    assert all(seconds > 0 for seconds in took["toybox"].marginal.values())


# ── Statistics ───────────────────────────────────────────────────────────────────────────────────


def test_cluster_bootstrap_is_what_resampling_row_by_row_finds() -> None:
    from scipy.stats import spearmanr

    draw = np.random.default_rng(3)
    x = draw.integers(0, 6, (9, 2)).astype(float)  # with ties
    y = x + draw.normal(0, 2, (9, 2)).round()
    clusters = ["a", "a", "b", "c", "c", "c", "d", "e", "f"]
    found = stats.mean_spearman(x, y, clusters, resamples=300)
    names = sorted(set(clusters))
    counts = np.random.RandomState(0).multinomial(6, np.full(6, 1 / 6), size=300)
    means = []
    for count in counts:
        rows = [i for i, c in enumerate(clusters) for _ in range(count[names.index(c)])]
        with np.errstate(all="ignore"):
            rhos = [_rho(spearmanr, x[rows, d], y[rows, d]) for d in range(2)]
        means.append(np.mean(rhos))
    known = [m for m in means if np.isfinite(m)]
    assert found.undefined == 300 - len(known) and found.ci is not None
    assert (found.ci.lo, found.ci.hi) == pytest.approx(np.quantile(known, [0.025, 0.975]), abs=1e-6)


def _rho(spearmanr: Callable[..., object], x: np.ndarray, y: np.ndarray) -> float:
    return float(spearmanr(x, y).statistic) if len(set(x)) > 1 and len(set(y)) > 1 else float("nan")  # type: ignore[attr-defined]


def test_interval_of_a_mean_of_one_difference_is_its_own_and_of_many_covers() -> None:
    a, b = (np.array([right(share)]) for share in (0.6, 0.5))
    one = stats.difference(a, b)
    assert stats.mean_interval([one]).lo == pytest.approx(one.ci.lo, abs=1e-6)
    draw = np.random.default_rng(0)
    held = []
    for _ in range(400):
        found = []
        for gain in (0.0, 0.1, 0.2):
            base = draw.uniform(size=80)
            p = [(base < 0.5 + g).astype(float) for g in (gain, 0.0)]
            swap = draw.uniform(size=80) < 0.2  # disagreement both ways
            p[0][swap] = draw.uniform(size=int(swap.sum())) < 0.5 + gain
            found.append(stats.difference(p[0][None], p[1][None]))
        ci = stats.mean_interval(found)
        held.append(ci.lo <= 0.1 <= ci.hi)
    assert 0.92 < fmean(held) < 0.99
    with pytest.raises(ValueError, match="no differences"):
        stats.mean_interval([])
