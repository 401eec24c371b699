"""Checks of scorers, and the mock run of a source or task by the command a user types."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from vgbench.conformance.asking import N_IMAGES, build
from vgbench.conformance.bench import Bench
from vgbench.conformance.graphs import form_is_served, labels_of
from vgbench.conformance.outcome import Broken, NotApplicable, require
from vgbench.conformance.subjects import SourceSubject, TaskSubject
from vgbench.errors import VgbenchError
from vgbench.images import LABELS_FILE, read_table
from vgbench.registry import option_of
from vgbench.types import Backbone, Metric, Scored, Scorer

RUN_SECONDS = 280
N_GUESSES = 200  # random predictions; their mean scatters by under a tenth of one prediction's scatter
CONTROL = "control does not hold"  # of two images per class a control promises nothing


def scorer_is_light(subject: TaskSubject) -> None:
    """The scorer, and what reads users' tables for it, import numpy and nothing heavier.

    `run`, `score` and `verify` share the scorer, also where no torch is.
    """
    if subject.spec.scorer is None:
        raise NotApplicable("nothing is predicted")
    tables = [table for table in (subject.spec.predictions_table, subject.spec.labels_table) if table]
    entries = [subject.spec.scorer, *(table.derive for table in tables)]
    answer = subject.bench.ask_fresh({"do": "resolve", "entries": entries})
    require("failed" not in answer, str(answer.get("failed")))
    require(not answer["wrong"], "; ".join(answer["wrong"]))
    allowed = {"numpy", "scipy"}
    heavy = sorted(set(answer["heavy"]) - allowed)
    require(not heavy, f"importing {', '.join(entries)} imports {', '.join(heavy)}")


def scores_are_bounded(subject: TaskSubject) -> None:
    """The scorer reports every declared metric, inside its bounds, for right, constant and random predictions alike.

    The first metric it reports is the first declared: the main one.
    """
    for name, predicted in _predictions(subject).items():
        for prediction in predicted:
            scored = _score(subject, prediction)
            found = {value.metric: value.value for value in scored.metrics}
            declared = [metric.id for metric in subject.spec.metrics]
            require(list(found)[:1] == declared[:1], f"{name} predictions: reports {list(found)}, declared {declared}")
            require(set(found) == set(declared), f"{name} predictions: reports {list(found)}, declared {declared}")
            for metric in subject.spec.metrics:
                value, (low, high) = found[metric.id], metric.bounds
                inside = value is None or low <= value <= high
                require(inside, f"{name} predictions: {metric.id} = {value} is outside {low} to {high}")


def guessing_gives_chance(subject: TaskSubject) -> None:
    """Predictions that know nothing score the declared chance level: the mean over all constant ones, and random ones.

    The chance level is the zero of a column; a control is judged against it.
    """
    predictions = _predictions(subject)
    chances = {metric.id: _chance(subject, metric) for metric in subject.spec.metrics}
    if all(chance is None for chance in chances.values()):
        raise NotApplicable("no metric declares a chance level")
    for name in ("constant", "random"):
        values: dict[str, list[float]] = {}
        for prediction in predictions[name]:
            for value in _score(subject, prediction).metrics:
                if value.value is not None:
                    values.setdefault(value.metric, []).append(value.value)
        for metric_id, chance in chances.items():
            if chance is None:
                continue
            found = values.get(metric_id, [])
            require(found, f"{name} predictions: {metric_id} has no value")
            mean = sum(found) / len(found)
            sd = (sum((v - mean) ** 2 for v in found) / max(len(found) - 1, 1)) ** 0.5
            slack = 4 * sd / len(found) ** 0.5 + 1e-9 if name == "random" else 1e-9
            near = abs(mean - chance) <= slack
            require(near, f"{name} predictions: {metric_id} is {mean:.4f} in the mean, chance is declared {chance:.4f}")


def mock_run(subject: SourceSubject | TaskSubject) -> None:
    """`vgbench run` with two images of each class gives a scored cell, on this machine, offline.

    The task keeps its own classes: with fewer it would be another task. A control that does not hold on two images
    is accepted; a cell that is blocked, or failed for another reason, is not.
    """
    form_is_served(subject)
    source, task = _pair(subject)
    spec = subject.bench.registry.task(task)[0].spec
    few = [f"--images-per-class={N_IMAGES}"] if option_of(spec, "images_per_class") else []
    place = subject.bench.folder(f"run-{subject.name}")
    home, run_dir = str(place / "home"), str(place / "run")
    how = ["--workers=1", "--offline", "--json"]  # of so little a second worker would make nothing but its imports
    command = ["--home", home, "run", "--source", source, "--tasks", task, *few, "-o", run_dir, *how]
    answer = _cli(subject.bench, command)
    cell = answer["cells"][0]
    accepted = cell["status"] == "ok" or (cell["status"] == "failed" and CONTROL in (cell["reason"] or ""))
    require(accepted, f"{source} × {task} is {cell['status']}: {cell['reason']}")


def _pair(subject: SourceSubject | TaskSubject) -> tuple[str, str]:
    if isinstance(subject, TaskSubject):
        return subject.answering_source(), subject.full_text
    registry = subject.bench.registry
    offers = sorted(registry.tasks, key=lambda o: (o.distribution != subject.distribution, o.spec.name != "digits"))
    reasons = []
    for offer in offers:
        text = f"{offer.distribution}::{offer.spec.name}"
        g = subject.bench.builder()
        try:
            options = registry.task(text)[0].options
            with g.running("scoring", offer.distribution):
                request = offer.spec.request(g, options)
            built = build(g, subject.chosen, request)
            if built.images is None:
                with g.running("scoring", offer.distribution):
                    offer.spec.graph(g, Backbone(built.members[0]), options)
        except VgbenchError as error:
            reasons.append(f"{offer.spec.name}: {error.what}")
            continue
        return subject.full_text, text
    raise NotApplicable(f"no installed task asks for what it serves ({'; '.join(reasons)})")


def _cli(bench: Bench, arguments: list[str]) -> dict[str, Any]:
    """Run a command as a user does and return its JSON; an exit without JSON is a broken rule."""
    done = subprocess.run(
        [sys.executable, "-m", "vgbench.cli", *arguments],
        capture_output=True,
        text=True,
        env=None if bench.environment is None else dict(bench.environment),
        cwd=bench.folder("cli"),
        timeout=RUN_SECONDS,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Broken(f"exit code {done.returncode}: {said[-1] if said else 'nothing was printed'}") from None
    if "error" in answer:
        raise Broken(f"exit code {done.returncode}: {answer['error']['what']}")
    return answer


# ── Scoring by hand ──────────────────────────────────────────────────────────────────────────────


def _labels(subject: TaskSubject) -> dict[str, Any]:
    """Return the test labels as columns."""
    from vgbench.steps.score import columns_of

    folder = subject.bench.make(labels_of(subject))[0]
    table = read_table(folder / LABELS_FILE)
    if "class_id" not in table.column_names:
        raise NotApplicable("its labels are not one class for each sample")
    return columns_of(table)


def _predictions(subject: TaskSubject) -> dict[str, list[Any]]:
    """Return right, constant (one for each class) and random predictions of the test split, (N,) class ids each.

    Of several labels the right prediction is the first.
    """
    import numpy as np

    truth = _labels_of(subject)["class_id"]
    ids = np.asarray(subject.request().classes.ids)
    if not np.isin(truth, ids).all():  # other classes than the source's: features are probed
        ids = np.unique(truth)
    generator = np.random.default_rng(0)
    return {
        "right": [truth],
        "constant": [np.full(truth.shape, class_id) for class_id in ids],
        "random": [generator.choice(ids, truth.shape) for _ in range(N_GUESSES)],
    }


def _score(subject: TaskSubject, predicted: Any) -> Scored:
    """Score predictions, whose scores are 1 for the class predicted and 0 for the others."""
    import numpy as np

    from vgbench.worker import resolve

    if subject.spec.scorer is None:
        raise NotApplicable("nothing is predicted")
    labels = _labels_of(subject)
    scorer: Scorer = resolve(subject.spec.scorer)
    options = subject.scores().score.param.get("scorer", {}).get("values", {})
    columns: dict[str, Any] = {"sample_id": labels["sample_id"], "prediction": predicted}
    if "class_ids" in options:
        columns["scores"] = (np.asarray(predicted)[:, None] == np.asarray(options["class_ids"])).astype(np.float32)
    try:
        return scorer(columns, labels, options)
    except KeyError as error:
        raise NotApplicable(f"its scorer needs the column {error}") from None


def _labels_of(subject: TaskSubject) -> dict[str, Any]:
    kept: dict[str, Any] | None = subject.kept.get("labels")
    if kept is None:
        kept = subject.kept["labels"] = _labels(subject)
    return kept


def _chance(subject: TaskSubject, metric: Metric) -> float | None:
    return 1 / len(subject.request().classes) if metric.chance == "1/C" else metric.chance
