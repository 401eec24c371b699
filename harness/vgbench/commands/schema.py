"""``vgbench schema``: the JSON Schema of every result file and of what every command prints with ``--json``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import write_columns, write_json
from vgbench.errors import unknown

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("schema", help="JSON Schemas of the result files and of what --json prints")
    parser.add_argument("name", nargs="?", help="one of them; without it their names are listed")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    from vgbench.commands.answers import ANSWERS

    if args.name is None:
        write_columns([(name, (model.__doc__ or "").splitlines()[0]) for name, model in ANSWERS.items()])
        return 0
    if args.name not in ANSWERS:
        raise unknown("schema", args.name, ANSWERS)
    write_json(ANSWERS[args.name].model_json_schema(by_alias=True))
    return 0
