"""``vgbench export``: a run's leaderboard as CSV for a spreadsheet, or as a LaTeX table for a paper."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import write
from vgbench.commands.table import column_names, is_share, notes, row_name, shown, tie_letters
from vgbench.errors import UsageError

if TYPE_CHECKING:
    from vgbench.commands import Context
    from vgbench.results import Column, Leaderboard, RowValue

# A spreadsheet runs a text that starts so as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "–": "--", "−": "$-$", "×": r"$\times$", "…": r"\dots{}", "\n": " ",
}  # fmt: skip


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("export", help="a run's leaderboard as CSV or LaTeX")
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a leaderboard.json")
    parser.add_argument(
        "--to", required=True, choices=["csv", "latex"], help="csv: fractions; latex: percent, booktabs"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    board = open_board(Path(args.run))
    text = to_csv(board) if args.to == "csv" else to_latex(board)
    if args.output is None:
        write(text.removesuffix("\n"))
        return 0
    from vgbench.store import write_file

    try:
        write_file(Path(args.output), text)
    except OSError as error:
        raise UsageError(f"cannot write {args.output}: {error.strerror}") from error
    write(f"{args.output}: {len(board.rows)} rows, {len(board.columns)} columns")
    return 0


def open_board(path: Path) -> Leaderboard:
    """Read a run's leaderboard; ``UsageError`` when there is none."""
    from vgbench import results

    file = path / results.LEADERBOARD_FILE if path.is_dir() else path
    if not file.exists():
        raise UsageError(
            f"{path} holds no {results.LEADERBOARD_FILE}",
            hint=f"vgbench leaderboard build {path}" if (path / results.PLAN_FILE).exists() else "give a run's folder",
        )
    return results.read_leaderboard(file)


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────


def to_csv(board: Leaderboard) -> str:
    """Return one line for each row × column that has a cell: fractions, and JSON for options."""
    lines: list[dict[str, object]] = []
    names = column_names(board.columns)
    for row in board.rows:
        for column in board.columns:
            value = row.values.get(column.digest)
            if value is None:
                continue
            ci = value.ci
            line = {
                "row": row_name(row, board.rows),
                "column": names[column.digest],
                "metric": value.metric,
                "value": value.value,
                "ci_lo": ci.lo if ci else None,
                "ci_hi": ci.hi if ci else None,
                "ci_level": ci.level if ci else None,
                "ci_method": ci.method if ci else None,
                "n": value.n,
                "training_runs": value.runs,
                "missing_cells": value.missing,
                "tie_groups": tie_letters(value),
                "controls_hold": value.controls_hold,
                "source": row.source,
                "source_options": _options(row.options),
                "row_options": _options(row.row_options),
                "distribution": row.distribution,
                "backbone": row.backbone,
                "sees": row.sees,
                "images": row.images,
                "shortfall": row.shortfall,
                "task": column.task,
                "task_version": column.version,
                "task_options": _options(column.options),
                "column_digest": column.digest,
                "note": row.note,
            }
            lines.append({key: guarded(v) for key, v in line.items()})
    out = io.StringIO()
    names_of_lines = list(lines[0]) if lines else ["row", "column", "value"]
    writer = csv.DictWriter(out, names_of_lines, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def guarded(value: object) -> object:
    """Return a text so that no spreadsheet takes it for a formula; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA) else value


def _options(options: Mapping[str, object]) -> str:
    return json.dumps(options, sort_keys=True) if options else ""


# ── LaTeX ────────────────────────────────────────────────────────────────────────────────────────


def to_latex(board: Leaderboard) -> str:
    """Return a ``booktabs`` table: percent, intervals, tie letters as superscripts, and the notes below."""
    names = column_names(board.columns)
    head = " & ".join(["Source", "Images", *(escaped(names[column.digest]) for column in board.columns)])
    arrows = {True: r"$\uparrow$", False: r"$\downarrow$"}
    percent = {True: r" \%", False: ""}
    units = [f"{escaped(c.metric)}{percent[is_share(c)]} {arrows[c.higher_is_better]}" for c in board.columns]
    body = []
    for row in board.rows:
        values = [_tex_value(row.values.get(column.digest), column) for column in board.columns]
        images = "--" if row.images is None else f"{row.images:,}"
        if row.shortfall:
            images += f" ($-${row.shortfall:,})"
        body.append(" & ".join([escaped(row_name(row, board.rows)), images, *values]))
    width = 2 + len(board.columns)
    below = [f"\\multicolumn{{{width}}}{{l}}{{\\footnotesize {escaped(line)}}}" for line in notes(board)]
    lines = [
        "% needs \\usepackage{booktabs}; written by vgbench export",
        f"\\begin{{tabular}}{{lr{'r' * len(board.columns)}}}",
        "\\toprule",
        f"{head} \\\\",
        f"{' & '.join(['', '', *units])} \\\\",
        "\\midrule",
        *(f"{line} \\\\" for line in body),
        "\\bottomrule",
        *(f"{line} \\\\" for line in below),
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it."""
    return "".join(TEX.get(character, character) for character in text)


def _tex_value(value: RowValue | None, column: Column) -> str:
    if value is None or value.value is None:
        return "--"
    ci = f" {{\\footnotesize ({shown(value.ci.lo, column)}--{shown(value.ci.hi, column)})}}" if value.ci else ""
    runs = f" {{\\footnotesize $\\times${value.runs}}}" if value.runs > 1 else ""
    letters = tie_letters(value)
    return shown(value.value, column) + (f"$^{{{letters}}}$" if letters else "") + runs + ci
