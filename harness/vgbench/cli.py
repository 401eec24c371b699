"""The command line: argparse, exit codes, errors as a user reads them. The only module that reads the environment."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vgbench.commands import COMMANDS, Context
from vgbench.errors import Terminated, UsageError, VgbenchError, nearest
from vgbench.registry import Registry

# What a worker may see of our environment: where to find programs and libraries, and nothing that names a user's keys.
WORKER_ENVIRONMENT = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HF_HOME", "SYSTEMROOT",
)  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
EPILOG = """examples:
  vgbench list                                                    what is installed
  vgbench plan --source toybox --tasks digits                     what a run would make, and cost
  vgbench run --source original toybox --tasks digits             make it, score it, print the table
  vgbench run --source toybox toybox:noise=2 --tasks digits       one row for each source, one column for each task

exit codes: 0 ok, 1 a cell failed, 2 usage, 3 some cells blocked, 4 verification failed, 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what was probably meant."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice:" in message:
            wrong = message.split("invalid choice:")[1].split("'")[1]
            choices = [c.strip(" '\n)") for c in message.split("choose from")[1].split(",")]
            close = nearest(wrong, choices)
            option = message.removeprefix("argument ").partition(":")[0]
            raise UsageError(
                f"{option} {wrong}" if option.startswith("-") else f"{self.prog} has no command {wrong!r}",
                hint=f"did you mean {close!r}?" if close else f"choose from {', '.join(choices)}",
            )
        raise UsageError(message, hint=f"see: {self.prog} --help")


@dataclass
class Process(Context):
    """The context of one invocation. Plugins are loaded when a command first asks for them."""

    home: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)
    debug: bool = False
    _registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = Registry()
        return self._registry


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug, as_json = "--debug" in argv, "--json" in argv
    context = Process(environment=_worker_environment(os.environ), debug=debug)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        parser = _parser(context)
        args = parser.parse_args([a for a in argv if a != "--debug"])
        context.home = Path(args.home).expanduser() if args.home else _default_home(os.environ)
        if args.version:
            from vgbench import __version__

            print(f"vgbench {__version__}")  # noqa: T201
            return 0
        if "call" not in args:
            parser.print_help()
            return 0
        code: int = args.call(args, context)
        return code
    except VgbenchError as error:
        return _report(error, error.exit_code, debug=debug, as_json=as_json)
    except KeyboardInterrupt as stopped:
        command = shlex.join(["vgbench", *argv])
        print(f"\ninterrupted; the same command goes on from here:\n  {command}", file=sys.stderr)  # noqa: T201
        return 143 if isinstance(stopped, Terminated) else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing more to say
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _report(
            VgbenchError(f"internal error: {type(error).__name__}: {error}", hint="run it again with --debug"),
            1,
            debug=False,
            as_json=as_json,
        )


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _parser(context: Context) -> argparse.ArgumentParser:
    parser = Parser(
        prog="vgbench",
        description="Measure data sources: what does a model learn when its training images come from this source?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", help="where artifacts are kept (default: $VGBENCH_HOME or the user's cache folder)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--version", action="store_true", help="print the version")
    add = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(add)
    context.registry.add_commands(add)
    return parser


def _worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in WORKER_ENVIRONMENT if name in environment} | ONE_THREAD


def _default_home(environment: Mapping[str, str]) -> Path:
    if "VGBENCH_HOME" in environment:
        return Path(environment["VGBENCH_HOME"]).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("vgbench")


def _report(error: VgbenchError, code: int, *, debug: bool, as_json: bool) -> int:
    """Say what happened and what to do; a traceback only with ``--debug``."""
    if debug:
        traceback.print_exc()
    if as_json:
        print(json.dumps({"error": {"what": error.what, "hint": error.hint, "exit_code": code}}))  # noqa: T201
    print(f"error: {error.what}", file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
