"""One file per command: ``add`` declares it, ``call`` does it. Importing them all is light; heavy work waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vgbench.registry import Registry


class Context(Protocol):
    """What a command may know of its invocation."""

    home: Path
    environment: Mapping[str, str]
    debug: bool

    @property
    def registry(self) -> Registry:
        """The installed plugins."""
        ...


# after Context, which they import
from vgbench.commands import (  # noqa: E402
    bench,
    cache,
    compare,
    data,
    export,
    generate,
    list_,
    plan,
    plugins,
    preview,
    run,
    schema,
    score,
    show,
)

COMMANDS = (list_, show, preview, generate, plan, run, score, compare, export, data, cache, plugins, bench, schema)
