"""``vgbench schema``: the JSON Schema of every result file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vgbench.commands.output import write, write_json
from vgbench.errors import unknown

if TYPE_CHECKING:
    from vgbench.commands import Context


def add(commands: argparse._SubParsersAction[Any]) -> None:
    parser = commands.add_parser("schema", help="JSON Schemas of the result files")
    parser.add_argument("name", nargs="?", help="one of them; without it their names are listed")
    parser.set_defaults(call=call)


def call(args: argparse.Namespace, context: Context) -> int:
    from vgbench.results import SCHEMAS

    if args.name is None:
        for name, model in SCHEMAS.items():
            write(f"{name:14}{(model.__doc__ or '').splitlines()[0]}")
        return 0
    if args.name not in SCHEMAS:
        raise unknown("schema", args.name, SCHEMAS)
    write_json(SCHEMAS[args.name].model_json_schema(by_alias=True))
    return 0
