"""The calibration can fail: a sound instrument passes its rules, a broken one does not, and rows are kept."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from vgbench.bench.calibration import analysis, report, rows
from vgbench.bench.calibration.settings import IMAGES_PER_CLASS, LEVELS, SEEDS, Setting, experiment, settings
from vgbench.commands.answers import BenchAnswer
from vgbench.commands.experiment import read
from vgbench.errors import VgbenchError
from vgbench.registry import Registry

GAP = next(i for i in analysis.INSTRUMENTS if i.metric == "texture_gap")
CONTEXT = next(i for i in analysis.INSTRUMENTS if i.metric == "context_bias_12")


def test_design_has_six_levels_three_seeds_and_more_than_sixty_models() -> None:
    found = settings()
    assert len({setting.name for setting in found}) == len(found)
    assert all(len(levels) + 1 >= 6 for levels in LEVELS.values())
    assert all(setting.seeds == SEEDS == 3 for setting in found if setting.group != "network")
    assert sum(setting.seeds for setting in found) >= 60
    assert len({setting.backbone for setting in found}) == len({setting.recipe for setting in found}) == 2


def test_joint_dials_do_not_correlate() -> None:
    square = [Setting("base"), *(setting for setting in settings() if setting.group == "joint")]
    levels = np.array([[setting.source.get(dial, 0.0) for dial in LEVELS] for setting in square])
    assert len(square) == 9
    assert np.allclose(np.corrcoef(levels.T), np.eye(3))


def test_experiment_file_is_one_that_run_reads(tmp_path: Path) -> None:
    file = tmp_path / "experiment.toml"
    file.write_text(experiment([Setting("dose", {"texture_bias": 0.5}), Setting("base")]))
    asked = read(file, Registry()).asked
    assert [wanted.options.get("texture_bias") for wanted in asked.sources] == [0.5, None]  # type: ignore[union-attr]
    assert len(asked.tasks) == 4 and asked.seeds == {"train": 3}


def test_settings_with_all_their_rows_are_not_trained_again() -> None:
    found = [{"setting": "base"}] * 2 + [{"setting": "texture_bias=0.4"}] * 3
    chunks = list(rows.missing(found))
    names = [setting.name for chunk in chunks for setting in chunk]
    assert names[0] == "base" and "texture_bias=0.4" not in names and len(names) == len(settings()) - 1
    assert all(len({setting.training for setting in chunk}) == 1 for chunk in chunks)


def cell(source: dict[str, float], seed: int, metrics: dict[str, float | None], n: int = IMAGES_PER_CLASS) -> Any:
    options = {"background_bias": 0.0, "texture_bias": 0.0, "context_bias": 0.0, "colour_bias": 0.0}
    placebos = {"pose_range": 1.0, "occlusion": 1.0, "noise": 1.0, "label_noise": 0.0}
    return {
        "digest": f"{seed}",
        "seeds": {"train": seed},
        "source": {"options": {**options, **placebos, **source}},
        "task": {
            "options": {"recipe": "toybox-small", "samples_seen": None},
            "row_options": {"images_per_class": n, "backbone": "toybox-resnet"},
        },
        "metrics": [{"name": name, "value": value} for name, value in metrics.items()],
    }


def test_seed_that_has_a_row_gets_no_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run was killed after one seed's row; a cell of another setting fails, and the rows of the rest stay."""
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"setting": "base", "seed": 0}) + "\n")

    def run(command: list[str], **_: Any) -> Any:
        folder = Path(command[command.index("-o") + 1]) / "cells"
        for number, (seed, task) in enumerate((seed, task) for seed in range(3) for task in range(4)):
            status = "failed" if (seed, task) == (2, 3) else "ok"
            (folder / str(number)).mkdir(parents=True)
            made = {**cell({}, seed, {f"m{task}": 1.0}), "status": status, "reason": "boom"}
            (folder / str(number) / "result.json").write_text(json.dumps(made))
        return subprocess.CompletedProcess(command, 1, stdout="{}")

    monkeypatch.setattr(rows.subprocess, "run", run)
    with pytest.raises(VgbenchError, match="boom"):
        rows.add([Setting("base")], file, [], lambda line: None)
    assert [(row["setting"], row["seed"]) for row in rows.read(file)] == [("base", 0), ("base", 1)]


def test_rows_gather_the_cells_of_a_setting_by_seed() -> None:
    cells = [
        cell({"texture_bias": 0.5}, 1, {"top1": 0.7}),
        cell({"texture_bias": 0.5}, 0, {"top1": 0.8}),
        cell({"texture_bias": 0.5}, 0, {"texture_gap": None}),
        cell({}, 0, {"top1": 0.9}),
        cell({"texture_bias": 0.5}, 0, {"top1": 0.1}, n=500),
    ]
    found = rows.rows_of(Setting("dose", {"texture_bias": 0.5}), cells)
    assert [row["seed"] for row in found] == [0, 1]
    assert found[0]["metrics"] == {"top1": 0.8, "texture_gap": None} and found[1]["metrics"] == {"top1": 0.7}


def made(*, leak: float = 0.0, noise: float = 0.004, blind: bool = False) -> list[dict[str, Any]]:
    """Rows of an instrument that answers its own dials, and, by ``leak``, the background's in every metric."""
    random = np.random.RandomState(0)
    found = []
    for setting in settings():
        dials = {dial: setting.source.get(dial, 0.0) for dial in LEVELS}
        for seed in range(setting.seeds):
            own = {dial: 0.0 if blind else level**2 for dial, level in dials.items()}
            texture, background, context = (own[dial] for dial in LEVELS)
            spill = leak * dials["background_bias"]
            metrics = {
                "top1": 0.9 - 0.3 * sum(own.values()) / 3,
                "flip_texture": 0.1 + 0.5 * dials["texture_bias"],
                "flip_background": 0.1 + 0.5 * dials["background_bias"],
                "flip_context": 0.1 + 0.5 * dials["context_bias"],
                "flip_colour": 0.1,
                "texture_inclination": 0.02 + 0.4 * texture + spill,
                "texture_inclination_corrected": 0.4 * texture + spill,
                "texture_gap": 0.6 * texture + spill,
                "background_gap": 0.5 * background,
                "background_gap_relative": 0.5 * background,
                "context_bias_avg": 1 - 0.5 * context - spill,
                "context_bias_12": 1 - 0.5 * context - spill,
            }
            noisy = {name: value + noise * random.normal() for name, value in metrics.items()}
            found.append({"setting": setting.name, "group": setting.group, "seed": seed, "metrics": noisy, "cells": []})
    return found


def test_sound_instrument_holds() -> None:
    found = made()
    for instrument in analysis.INSTRUMENTS:
        assert analysis.dose(found, instrument).holds
        assert analysis.worst(analysis.leaks(found, instrument)).share < 0.1
        # two thirds of the models have this dial at 0, where ranks are noise: even a perfect metric stays below 1
        assert instrument.sign * analysis.truth(found, instrument).value > 0.45
    slopes, n = analysis.regression(found, GAP)
    assert n == 27 and slopes["texture_bias"].lo > 0.4
    assert slopes["background_bias"].lo < 0.02 and slopes["background_bias"].hi > -0.02


def test_leaking_instrument_fails_where_it_leaks() -> None:
    found = made(leak=0.3)
    worst = analysis.worst(analysis.leaks(found, GAP))
    assert worst.setting == "background_bias=1" and worst.share > analysis.MOST_LEAK
    assert analysis.dose(found, GAP).holds and analysis.dose(found, CONTEXT).holds


def test_blind_instrument_fails_dose_and_truth() -> None:
    found = made(blind=True, noise=0.02)
    doses = [analysis.dose(found, instrument) for instrument in analysis.INSTRUMENTS]
    assert sum(dose.holds for dose in doses) <= 2  # six noisy means are in order by luck one time in 40
    truths = [instrument.sign * analysis.truth(found, instrument).value for instrument in analysis.INSTRUMENTS]
    assert max(truths) < 0.3


def test_withheld_values_are_left_out_and_counted() -> None:
    found = made()
    for row in found:
        if row["setting"] == "texture_bias=1":
            row["metrics"]["texture_gap"] = None
    assert analysis.dose(found, GAP).rho.n == 5 and not analysis.dose(found, GAP).holds  # not on all of its levels
    assert analysis.truth(found, GAP).n == len(found) - 3
    assert not np.isfinite(analysis.dose(found, GAP).means[-1])


def test_label_noise_and_amounts_are_reported_not_judged() -> None:
    found = made()
    for row in found:
        if row["setting"] in ("label_noise=0.6", "images_per_class=125"):
            row["metrics"]["texture_gap"] = 5.0
    leaks = analysis.leaks(found, GAP)
    assert {leak.setting for leak in leaks if leak.share > 1} == {"label_noise=0.6", "images_per_class=125"}
    assert analysis.worst(leaks).share < 0.1


def test_ceiling_is_below_one_where_most_models_have_no_bias() -> None:
    assert 0.4 < analysis.ceiling(made(), GAP) < 0.95


def test_rank_correlations_are_scipys() -> None:
    random = np.random.RandomState(1)
    x, y, z = random.randint(0, 6, (3, 50)).astype(float)
    assert analysis.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    a, b, c = (stats.rankdata(v) for v in (x, y, z))
    residual = [v - np.polyval(np.polyfit(c, v, 1), c) for v in (a, b)]
    assert analysis.partial_spearman(x, y, z) == pytest.approx(np.corrcoef(*residual)[0, 1])


def test_report_says_what_holds_and_validates(tmp_path: Path) -> None:
    summary = report.write(made(leak=0.3), tmp_path, missing=0)
    page = (tmp_path / "results.md").read_text()
    assert "**fails:**" in page and "holds:" in page and "background_bias=1" in page
    assert (tmp_path / "dose.png").exists() and (tmp_path / "truth.png").exists()
    BenchAnswer.model_validate({"schema": "vgbench.bench/1", "name": "calibration", "folder": "x", **summary})
    report.write(made()[:20], tmp_path, missing=50)  # a calibration that is under way
    assert "50 settings still lack models" in (tmp_path / "results.md").read_text()


def test_committed_rows_are_of_the_design() -> None:
    """What docs/calibration holds was made by these settings, each model once."""
    path = Path(__file__).parents[2] / "docs" / "calibration" / "rows.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    counts = Counter((row["setting"], row["seed"]) for row in found)
    assert set(counts.values()) == {1}
    assert {row["setting"] for row in found} <= {setting.name for setting in settings()}
