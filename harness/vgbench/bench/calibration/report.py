"""The results as a page with tables and pictures, and as a summary for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgbench.bench.calibration.analysis import (
    INSTRUMENTS,
    LEAST_RHO,
    LEAST_TRUTH,
    MOST_LEAK,
    Dose,
    Estimate,
    Leak,
    Row,
    along,
    ceiling,
    dose,
    leaks,
    mean,
    regression,
    truth,
    values,
    worst,
)
from vgbench.bench.calibration.settings import BACKBONE, LEVELS, OTHER_BACKBONE, SEEDS

PAGE_FILE = "results.md"


def write(rows: Sequence[Row], folder: Path, *, missing: int) -> dict[str, Any]:
    """Write ``results.md``, ``dose.png`` and ``truth.png`` below ``folder``; return what they say."""
    doses = [dose(rows, instrument) for instrument in INSTRUMENTS]
    leaked = {instrument.metric: leaks(rows, instrument) for instrument in INSTRUMENTS}
    truths = {instrument.metric: truth(rows, instrument) for instrument in INSTRUMENTS}
    parts = [
        "# Calibration: results",
        f"Written by `vgbench bench calibration` from {len(rows)} models (`rows.jsonl`"
        + (f"; {missing} settings still lack models" if missing else "")
        + "). What is asked, and how it was fixed beforehand: [the protocol](../calibration.md).",
        "## Summary",
        _summary(doses, leaked, truths),
        "## Dose response",
        "Means over seeds along a metric's own dial; ρ in the direction of more bias.",
        _doses(doses),
        "![dose response](dose.png)",
        "## Specificity",
        "Δ against the base, and in brackets as a share of the metric's own Δ at its dial's highest level; in bold "
        "where it is above a third. Other dials and placebos are judged; settings in *italics* are reported only.",
        _leaks(leaked),
        "## Joint dials",
        "Least-squares slopes over the Latin square (change of the metric from dial 0 to 1), 95 % bootstrap intervals.",
        _joint(rows),
        "## Interventional truth",
        "Partial Spearman correlation of metric and truth over models, given accuracy; 95 % bootstrap over settings. "
        "The ceiling is what the truth itself would reach, measured a second time on as many fresh images: most models "
        "have the dial at 0, where ranks are noise. The last column, added after the run, is plain Spearman along the "
        "metric's own dial.",
        _truths(rows, truths),
        "![metric and truth](truth.png)",
        "## What moves accuracy",
        _accuracies(rows),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    if not _draw(rows, folder):
        parts = [part for part in parts if not part.startswith("![")]
    (folder / PAGE_FILE).write_text("\n\n".join(parts) + "\n")
    return {
        "models": len(rows),
        "settings_missing": missing,
        "instruments": [
            {
                "metric": d.instrument.metric,
                "dial": d.instrument.dial,
                "rho": _finite(d.rho.value),
                "rho_ci": [_finite(d.rho.lo), _finite(d.rho.hi)],
                "most_leak": _finite(worst(leaked[d.instrument.metric]).share),
                "most_leak_setting": worst(leaked[d.instrument.metric]).setting,
                "truth": _finite(truths[d.instrument.metric].value),
                "truth_ci": [_finite(truths[d.instrument.metric].lo), _finite(truths[d.instrument.metric].hi)],
                "truth_models": truths[d.instrument.metric].n,
            }
            for d in doses
        ],
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _number(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def _estimate(found: Estimate, digits: int = 2) -> str:
    return f"{_number(found.value, digits)} ({_number(found.lo, digits)} to {_number(found.hi, digits)})"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = "| " + " | ".join("---" for _ in head) + " |"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines)])


def _summary(doses: Sequence[Dose], leaked: Mapping[str, Sequence[Leak]], truths: Mapping[str, Estimate]) -> str:
    lines = []
    for found in doses:
        instrument = found.instrument
        largest, agreed = worst(leaked[instrument.metric]), truths[instrument.metric]
        holds = (
            found.holds,
            math.isfinite(largest.share) and largest.share <= MOST_LEAK,
            instrument.sign * agreed.value >= LEAST_TRUTH,
        )
        lines.append(
            [
                f"`{instrument.metric}`",
                f"{_mark(holds[0])} {_estimate(found.rho)}, {found.rho.n} levels",
                f"{_mark(holds[1])} {_number(largest.share, 2)} under {largest.setting}",
                f"{_mark(holds[2])} {_estimate(agreed)}",
            ]
        )
    head = [
        "metric",
        f"dose: ρ ≥ {LEAST_RHO:g}",
        "specificity: largest leak ≤ ⅓",
        f"truth: partial ρ, goal {LEAST_TRUTH:g}",
    ]
    return _table(head, lines)


def _mark(holds: bool) -> str:
    return "holds:" if holds else "**fails:**"


def _doses(doses: Sequence[Dose]) -> str:
    lines = []
    for found in doses:
        steps = ", ".join(f"{level:g}: {_number(m)}" for level, m in zip(found.levels, found.means, strict=True))
        lines.append([f"`{found.instrument.metric}`", f"`{found.instrument.dial}`", steps, _estimate(found.rho)])
    return _table(["metric", "dial", "level: mean", "ρ"], lines)


def _leaks(leaked: Mapping[str, Sequence[Leak]]) -> str:
    judged = {leak.setting: leak.is_judged for found in leaked.values() for leak in found}
    lines = []
    for setting in sorted(judged, key=lambda name: not judged[name]):
        line = [setting if judged[setting] else f"*{setting}*"]
        for instrument in INSTRUMENTS:
            found = [leak for leak in leaked[instrument.metric] if leak.setting == setting]
            line.append(_leak(found[0]) if found else "own")
        lines.append(line)
    return _table(["setting", *(f"`{i.metric}`" for i in INSTRUMENTS)], lines)


def _leak(leak: Leak) -> str:
    if not leak.n:
        return "withheld"
    few = f", {leak.n} models" if leak.n < SEEDS else ""
    text = f"{_number(leak.delta)} ({_number(leak.share, 2)}{few})"
    return f"**{text}**" if leak.share > MOST_LEAK else text


def _joint(rows: Sequence[Row]) -> str:
    lines = []
    for instrument in INSTRUMENTS:
        slopes, n = regression(rows, instrument)
        lines.append([f"`{instrument.metric}`", *(_estimate(slopes[d]) if slopes else "–" for d in LEVELS), str(n)])
    return _table(["metric", *(f"`{dial}`" for dial in LEVELS), "models with a value"], lines)


def _truths(rows: Sequence[Row], truths: Mapping[str, Estimate]) -> str:
    lines = []
    for instrument in INSTRUMENTS:
        first = truth(rows, instrument, among=lambda row: OTHER_BACKBONE not in row["setting"])
        found = truths[instrument.metric]
        withheld = sum(row["metrics"][instrument.metric] is None for row in rows)
        lines.append(
            [
                f"`{instrument.metric}`",
                f"`{instrument.truth}`",
                _estimate(found),
                _number(ceiling(rows, instrument), 2),
                str(found.n),
                str(withheld),
                _estimate(first),
                _number(along(rows, instrument), 2),
            ]
        )
    return _table(
        ["metric", "truth", "partial ρ", "ceiling", "models", "withheld", f"`{BACKBONE}` only", "own dial, ρ"], lines
    )


def _accuracies(rows: Sequence[Row]) -> str:
    names = ("top1", "flip_texture", "flip_background", "flip_context", "flip_colour")
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    lines = [[s, *(_number(mean(values(rows, s, name)), 2) for name in names)] for s in settings]
    return _table(["setting", "accuracy on unbiased images", *(f"`{name}`" for name in names[1:])], lines)


# ── Pictures ─────────────────────────────────────────────────────────────────────────────────────


def _draw(rows: Sequence[Row], folder: Path) -> bool:
    """Draw ``dose.png`` and ``truth.png``; False where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("agg")
    from matplotlib import pyplot as plt

    shown = [i for i in INSTRUMENTS if i.metric not in ("background_gap_relative", "context_bias_avg")]
    with plt.style.context("default"):
        figure, axes = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 3), layout="constrained")
        for axis, instrument in zip(axes, shown, strict=True):
            for dial, levels in LEVELS.items():
                named = [("base", 0.0), *((f"{dial}={level:g}", level) for level in levels)]
                points = [(level, values(rows, name, instrument.metric)) for name, level in named]
                points = [(level, seen) for level, seen in points if len(seen)]
                own = dial == instrument.dial
                axis.plot(
                    [level for level, _ in points],
                    [seen.mean() for _, seen in points],
                    marker="o",
                    markersize=3,
                    linewidth=2 if own else 1,
                    color={"texture_bias": "#1b6ca8", "background_bias": "#c8553d", "context_bias": "#4c956c"}[dial],
                    alpha=1 if own else 0.6,
                    label=dial,
                )
                for level, seen in points:
                    axis.plot([level] * len(seen), seen, ".", markersize=2, color="black", alpha=0.4)
            axis.set_title(instrument.metric, fontsize=9)
            axis.set_xlabel("dial")
        axes[0].legend(fontsize=7)
        figure.savefig(folder / "dose.png", dpi=110, metadata={"Software": None})
        plt.close(figure)

        figure, axes = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 3), layout="constrained")
        for axis, instrument in zip(axes, shown, strict=True):
            for is_other, marker in ((False, "o"), (True, "x")):
                some = [row for row in rows if _is_other(row) == is_other]
                some = [row for row in some if row["metrics"][instrument.metric] is not None]
                found = axis.scatter(
                    [row["metrics"][instrument.truth] for row in some],
                    [row["metrics"][instrument.metric] for row in some],
                    c=[row["metrics"]["top1"] for row in some],
                    vmin=0,
                    vmax=1,
                    s=10,
                    marker=marker,
                    cmap="viridis",
                )
            axis.set_xlabel(instrument.truth, fontsize=8)
            axis.set_title(instrument.metric, fontsize=9)
        figure.colorbar(found, ax=axes[-1], label="accuracy")
        figure.savefig(folder / "truth.png", dpi=110, metadata={"Software": None})
        plt.close(figure)
    return True


def _is_other(row: Row) -> bool:
    """Say whether a row is of the other architecture."""
    return OTHER_BACKBONE in row["setting"]
