"""``vgbench leaderboard aggregate``: a figure over the suites of some runs, as text, JSON or a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vgbench import UsageError
from vgbench.commands.answers import AggregateAnswer
from vgbench.commands.output import write, write_columns, write_json
from vgbench.errors import unknown
from vgbench.results import Aggregates, Ci, MeasuredCost
from vgbench_leaderboard.aggregate.correlation import correlations, scatter
from vgbench_leaderboard.aggregate.cost import costs, measured, published_prices
from vgbench_leaderboard.aggregate.figures import row_names
from vgbench_leaderboard.aggregate.gain import over_suite
from vgbench_leaderboard.aggregate.plot import draw
from vgbench_leaderboard.aggregate.readings import Suite, named
from vgbench_leaderboard.aggregate.strategy import strategies, without_choice
from vgbench_leaderboard.build import row_keys, suites_of
from vgbench_leaderboard.opened import Opened, open_runs

if TYPE_CHECKING:
    from vgbench.commands import Context

Found: TypeAlias = tuple[Aggregates, list[MeasuredCost]]
Lines: TypeAlias = list[tuple[str, ...]]


def call(args: argparse.Namespace, run_dirs: Sequence[Path], context: Context) -> int:
    if args.name not in SHOWN:
        raise unknown("aggregate", args.name, SHOWN)
    if args.output and args.name != "correlation":
        raise UsageError(f"{args.name} has no picture", hint="-o FILE.png goes with correlation")
    run = open_runs(run_dirs)
    wanted = _suites(args.suite, run, context)
    suites = suites_of(run.cells, wanted)
    found, took = _aggregate(args, suites, run)
    if args.output:
        _draw(suites, found, args.figure, Path(args.output))
    names = row_names(row_keys(run.cells))
    notes = [note for suite in suites if (note := without_choice(suite))] if args.name == "strategy" else []
    if args.json:
        answer = AggregateAnswer(
            name=args.name,
            suites={name: list(tasks) for name, tasks in wanted.items()},
            rows=names,
            aggregates=found,
            measured=took,
            notes=notes,
            picture=args.output,
        )
        write_json(answer.model_dump(mode="json", by_alias=True))
        return 0
    write_columns(SHOWN[args.name]((found, took), names))
    for note in notes:
        write(note)
    if args.output:
        write(f"picture: {args.output}")
    return 0


def _suites(name: str | None, run: Opened, context: Context) -> Mapping[str, Sequence[str]]:
    """Return the tasks of the suite that is asked for, or of those that the runs were asked for."""
    if name is None:
        if not run.suites:
            raise UsageError("these runs were asked for no suite", hint="give --suite NAME; see: vgbench list suites")
        return run.suites
    if context.registry.is_suite(name):
        return {name: tuple(dict.fromkeys(chosen.spec.name for chosen in context.registry.task(name)))}
    if name in run.suites:  # its plugin is not installed here
        return {name: run.suites[name]}
    raise unknown("suite", name, [*context.registry.suites.offers, *run.suites], listing="vgbench list suites")


def _aggregate(args: argparse.Namespace, suites: Sequence[Suite], run: Opened) -> Found:
    found, took = Aggregates(), []
    for suite in suites:
        if args.name == "gain":
            found.means.extend(over_suite(suite, run.items_of))
        elif args.name == "strategy":
            found.strategies.extend(strategies(suite))
        elif args.name == "cost":
            prices = published_prices().changed(_own_prices(args.price))
            means = over_suite(suite, lambda cell: None)
            found.costs.extend(costs(suite, means, prices))
            took.extend(measured(suite, means, run.production_of, usd_per_hour=args.usd_per_hour))
        else:
            found.correlations.extend(correlations(suite, run.items_of))
    return found, took


def _own_prices(texts: Sequence[str]) -> dict[str, float]:
    prices = {}
    for text in texts:
        kind, equals, value = text.partition("=")
        try:
            prices[kind] = float(value)
        except ValueError:
            equals = ""
        if not equals or not 0 <= prices[kind] < float("inf"):
            raise UsageError(f"--price {text}: not KIND=USD", hint="for example --price rendered=0.0001")
    return prices


def _draw(suites: Sequence[Suite], found: Aggregates, figure: str, path: Path) -> None:
    """Draw the first correlation of a figure that stands, on all items, with the target's own encoder if it can."""
    drawable = [one for one in found.correlations if not one.halves and one.within == "dataset" and one.by_set]
    mine = sorted((one for one in drawable if one.figure == figure), key=lambda one: one.encoder != one.target_encoder)
    if not mine:
        reasons = [one.reason for one in found.correlations if one.figure == figure and one.reason]
        if reasons:
            raise UsageError(f"no correlation of {figure} to draw: {reasons[0]}")
        raise unknown("figure", figure, sorted({one.figure for one in drawable}))
    suite = next(suite for suite in suites if suite.name == mine[0].suite)
    draw(scatter(suite, mine[0]), mine[0], path)


# ── As text ──────────────────────────────────────────────────────────────────────────────────────


def _gains(found: Found, names: Sequence[str]) -> Lines:
    lines: Lines = [("suite", "source", "readout", "mean %", "gain (points)", "95 % interval", "")]
    for one in found[0].means:
        gain, why = _points(one.gain), one.reason or one.gain_reason or one.ci_reason or ""
        lines.append((one.suite, names[one.row], one.way, _percent(one.value), gain, _ci(one.ci, 100), why))
    return lines


def _strategies(found: Found, names: Sequence[str]) -> Lines:
    lines: Lines = [("suite", "source", "readout", "", "chosen on", "mean %", "gain (points)", "")]
    for one in found[0].strategies:
        chosen = ", ".join(f"{dataset}: {names[at]}" for dataset, at in one.chosen.items())
        label = "oracle (upper bound)" if one.label == "oracle" else one.label
        figures = _percent(one.value), _points(one.gain)
        lines.append((one.suite, one.source, one.readout, label, one.chosen_on, *figures, one.reason or chosen))
    return lines


def _costs(found: Found, names: Sequence[str]) -> Lines:
    took = {(one.suite, one.row): one for one in found[1]}
    priced = "images", "USD", "USD/point"
    by_time = "fixed s", "marginal s", "USD by time", "USD/point by time"
    lines: Lines = [("suite", "source", "kind", *priced, *by_time, "")]
    for one in found[0].costs:
        time = took[one.suite, one.row]
        usd = None if time.fixed_usd is None or time.marginal_usd is None else time.fixed_usd + time.marginal_usd
        seconds = _plain(time.fixed_seconds), _plain(time.marginal_seconds)
        images = "–" if one.images is None else f"{one.images:,}"
        if one.images_paid != one.images:
            images += f" of {one.images_paid:,} made"
        published = images, _plain(one.usd), _of_points(one.usd_per_point)
        observed = *seconds, _plain(usd), _of_points(time.usd_per_point)
        lines.append((one.suite, names[one.row], one.kind, *published, *observed, one.reason or time.reason or ""))
    return lines


def _of_points(usd_per_point: Mapping[str, float | None]) -> str:
    return ", ".join(f"{way}: {_plain(usd)}" for way, usd in usd_per_point.items() if usd is not None) or "–"


def _correlations(found: Found, names: Sequence[str]) -> Lines:
    lines: Lines = [("suite", "figure", "against", "on", "within", "ρ", "95 % interval", "sources", "sets", "")]
    for one in found[0].correlations:
        figure = f"{one.figure} ({one.encoder})" if one.encoder else one.figure
        target = f"{one.target} ({one.target_encoder})" if one.target_encoder else one.target
        rho = "–" if one.rho is None else f"{one.rho:.2f}"
        items = "two halves" if one.halves else "all items"
        shown = one.within, rho, _ci(one.ci, 1), str(one.n_rows), str(len(one.by_set))
        lines.append((one.suite, figure, target, items, *shown, one.reason or named(one.left_out) or ""))
    return lines


SHOWN: dict[str, Callable[[Found, Sequence[str]], Lines]] = {
    "gain": _gains,
    "strategy": _strategies,
    "cost": _costs,
    "correlation": _correlations,
}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _ci(ci: Ci | None, scale: int) -> str:
    digits = 1 if scale == 100 else 2
    return "–" if ci is None else f"{scale * ci.lo:.{digits}f} to {scale * ci.hi:.{digits}f}"
