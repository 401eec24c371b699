"""``vgbench plugins new``: a complete package from the templates beside this file, green before it is touched.

A template is a text file with ``$name`` (what users type), ``$dist`` (the distribution), ``$module`` (its package).
"""

from __future__ import annotations

import importlib.util
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from vgbench.errors import UsageError
from vgbench.registry import Registry
from vgbench.store import whole_folder, write_file

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# template: where it goes, what it is
FILES = {
    "pyproject.toml.tmpl": ("pyproject.toml", "the distribution and its entry point"),
    "README.md.tmpl": ("README.md", "what it is, how to try it"),
    "init.py.tmpl": ("$module/__init__.py", "what it offers; imported by every command, so it is light"),
    "work.py.tmpl": ("$module/$work.py", "the heavy work, imported in workers only"),
    "test.py.tmpl": ("tests/test_$module.py", "the conformance suite, one test for each rule"),
}
WORK = {"source": "generate", "task": "encode"}


def begin(
    kind: Literal["source", "task"], name: str, registry: Registry, folder: Path | None
) -> tuple[Path, dict[str, str]]:
    """Write a package for a new source or task; return its folder, and what each file is for.

    Raises ``UsageError`` for a name that cannot be typed or is taken, and for a folder that holds something.
    """
    values = {"name": name, "dist": f"vgbench-{name}", "module": f"vgbench_{name.replace('-', '_')}"}
    _refuse_name(name, values, registry)
    values["work"] = WORK[kind]
    folder = folder or Path(values["dist"])
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not an empty folder", hint="choose another with -o DIR")
    written: dict[str, str] = {}
    with whole_folder(folder) as staging:
        for template, (target, what) in FILES.items():
            path = Template(target).substitute(values)
            text = (files(__name__) / kind / template).read_text()
            write_file(staging / path, Template(text).substitute(values))
            (staging / path).chmod(0o644)
            written[path] = what
    return folder, written


def _refuse_name(name: str, values: dict[str, str], registry: Registry) -> None:
    if name.startswith("vgbench-"):
        plain = name.removeprefix("vgbench-")
        raise UsageError(f"{name!r}: the distribution's 'vgbench-' is added", hint=f"vgbench plugins new … {plain}")
    if not NAME.fullmatch(name):
        tidy = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = "lower-case letters, digits and single '-', a letter first"
        raise UsageError(f"{name!r} is not a name", hint=f"{hint}; for example {tidy!r}" if tidy else hint)
    owners = [offer.distribution for offer in registry.sources.offers.get(name, [])]
    owners += [offer.distribution for offer in registry.tasks.offers.get(name, [])]
    if owners:
        raise UsageError(
            f"the name {name!r} is taken by {owners[0]}",
            hint=f"choose another, for example 'my-{name}'; vgbench show {name}",
        )
    installed = {plugin.distribution for plugin in registry.plugins}
    if values["dist"] in installed or importlib.util.find_spec(values["module"]) is not None:
        raise UsageError(f"{values['dist']} ({values['module']}) is installed already", hint="choose another name")
