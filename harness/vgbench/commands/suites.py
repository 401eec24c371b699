"""A suite for the terminal: one line for each row, means over the data sets, gain over zero-shot, what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from vgbench.results import Cost, Leaderboard, SuiteMean

GAINS_OF = "linear-probe"  # its gain is shown where there is one; the others stand in leaderboard.json
ZEROSHOT = "zeroshot"
GAINS = "gains are over zero-shot of the same data sets and encoder; intervals cover the test items, data sets fixed"


def folded(board: Leaderboard) -> list[str]:
    """Return the suites that are shown as means, for each data set in each way is too wide for a terminal.

    Those whose data sets are read out in several ways, and those of tasks that describe such data sets (NAME/quality).
    """
    read_out = {mean.suite for mean in board.aggregates.means if mean.readout}
    datasets = {task for suite in read_out for task in board.suites[suite]}
    described = {s for s, tasks in board.suites.items() if {task.rpartition("/")[0] for task in tasks} <= datasets}
    return sorted(read_out | (described & {mean.suite for mean in board.aggregates.means}))


def write_suite(console: Console, board: Leaderboard, suite: str, names: Sequence[str]) -> None:
    """Print a suite's table; ``names`` are the rows' names, by their place."""
    from rich.markup import escape
    from rich.table import Table

    means = [mean for mean in board.aggregates.means if mean.suite == suite]
    several = len({mean.encoder for mean in means}) > 1
    main = {column.metric for column in board.columns if column.task in board.suites[suite]}
    title = " ".join(sorted(main))  # of what is not read out
    ways = {m.way: escape((m.way if several else m.readout) or title).replace(" ", "\n") for m in means}
    gaining = _gaining(list({mean.way: mean for mean in means}.values()))
    table = Table(header_style="bold", title=escape(f"{suite}: mean over {means[0].n_datasets} data sets"))
    table.add_column("source", overflow="fold", min_width=min(max(map(len, names)), 24))
    table.add_column("images", justify="right", no_wrap=True)
    for head in ways.values():
        table.add_column(f"{head}\n% ↑", justify="right", no_wrap=True)
    for way in gaining:
        table.add_column(f"gain of\n{ways[way]}\npoints ↑", no_wrap=True)
    for head in ("cost\nUSD", "cost\nUSD/point", "made in\ns") if gaining else ():
        table.add_column(head, justify="right", no_wrap=True)
    by_place = {(mean.row, mean.way): mean for mean in means}
    costs = {cost.row: cost for cost in board.aggregates.costs if cost.suite == suite}
    took = {one["row"]: one for one in board.observed.get("cost", ()) if one["suite"] == suite}
    for row in dict.fromkeys(mean.row for mean in means):
        values = [_percent(by_place[row, way]) for way in ways]
        gains = [_gain(by_place[row, way]) for way in gaining]
        cost = costs.get(row)
        images = "–" if cost is None or cost.images is None else f"{cost.images:,}"
        paid = [*_usd(cost, gaining), _seconds(took.get(row))] if gaining else []
        table.add_row(escape(names[row]), images, *values, *gains, *paid)
    console.print(table)


def suite_notes(board: Leaderboard, suite: str, names: Sequence[str]) -> list[str]:
    """Return what must be said under a suite's table: what has no average or interval, and why a cost is not known."""
    means = [mean for mean in board.aggregates.means if mean.suite == suite]
    has_gains = any(mean.readout for mean in means)
    lines = [GAINS] if has_gains else []
    for mean in means:
        reason = mean.reason or mean.gain_reason
        if reason:
            lines.append(f"not averaged: {names[mean.row]} × {mean.way}: {reason}")
    gaining = [mean for mean in means if mean.way in _gaining(means)]
    lines += dict.fromkeys(f"no interval of {mean.way}: {mean.ci_reason}" for mean in gaining if mean.ci_reason)
    costs = [cost for cost in board.aggregates.costs if cost.suite == suite and has_gains]
    unknown: dict[str, list[str]] = {}
    for cost in costs:
        if cost.reason:
            unknown.setdefault(cost.reason, []).append(names[cost.row])
    lines += [f"no cost in USD for {', '.join(rows)}: {reason}" for reason, rows in unknown.items()]
    lines += dict.fromkeys(f"cost of {cost.kind} images: {cost.citation}" for cost in costs if cost.usd is not None)
    lines += [
        f"cost of {names[cost.row]}: {cost.images_paid:,} images were made, {cost.images:,} of them kept"
        for cost in costs
        if cost.images is not None and cost.images_paid is not None and cost.images_paid > cost.images
    ]
    return lines


def _gaining(means: Sequence[SuiteMean]) -> list[str]:
    """Return the ways of reading out whose gain is shown."""
    with_gain = [mean for mean in means if mean.readout and mean.readout.partition(":")[0] != ZEROSHOT]
    probes = [mean for mean in with_gain if mean.readout.partition(":")[0] == GAINS_OF]
    return [mean.way for mean in probes or with_gain]


def _percent(mean: SuiteMean) -> str:
    return "–" if mean.value is None else f"{100 * mean.value:.1f}"


def _gain(mean: SuiteMean) -> str:
    if mean.gain is None:
        return "–"
    ci = f" [dim]{100 * mean.ci.lo:+.1f} to {100 * mean.ci.hi:+.1f}[/dim]" if mean.ci else ""
    return f"{100 * mean.gain:+.1f}{ci}"


def _usd(cost: Cost | None, gaining: Sequence[str]) -> tuple[str, str]:
    """Return USD, and USD for a point of the first gain that is shown."""
    if cost is None or cost.usd is None:
        return "–", "–"
    of_point = next((cost.usd_per_point[way] for way in gaining if way in cost.usd_per_point), None)
    return _three(cost.usd), "–" if of_point is None else _three(of_point)


def _three(usd: float) -> str:
    return f"{usd:,.2f}" if usd >= 100 else f"{usd:.3g}"


def _seconds(took: dict[str, Any] | None) -> str:
    if took is None or took["fixed_seconds"] is None:
        return "–"
    return f"{took['fixed_seconds'] + took['marginal_seconds']:,.1f}"
