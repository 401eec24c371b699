"""What a class's prompts are, and its negative one, by strategies that plugins offer: for sources that take text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vgbench.errors import CannotServe, UsageError
from vgbench.types import ClassEntry, ClassList, Graph, Node, Place, Rate, StepRef

# The rate is assumed: of strategies that only fill in texts; a T5's is not known.
PROMPT = StepRef("vgbench.prompt", "1", "vgbench.steps.prompt:prompt", seed="source", rate=Rate(1_000, 1_000))
OF_DATA_SET = "dataset-templates"  # those declared for the class list's data set


def prompts_of(
    g: Graph, entry: ClassEntry, classes: ClassList, strategy: str, *, n: int, places: Mapping[str, str | None]
) -> list[str] | Node:
    """Return a class's prompts by a part of kind ``prompts``: texts, or the node that writes them.

    A part with ``templates`` is filled with the class's name here. One with an ``entry`` is a function that runs in a
    worker: its node holds the fields of the class that the part's ``uses`` name, and the places that it reads: paths
    by name, as the source's options give them. ``n`` is how many prompts it may sample. ``CannotServe`` where the class
    list lacks what is used, ``UsageError`` where no path is given.
    """
    data_set = classes.name.partition("/")[0]  # of "cifar-10/cat,dog", some classes of it
    part = g.part("prompts", f"genbench/{data_set}" if strategy == OF_DATA_SET else strategy)
    values = part.values
    if not part.entry:
        return [template.replace("{}", entry.name) for template in values["templates"]]
    fields: dict[str, Any] = {name: getattr(entry, name) for name in values.get("uses", ("name",))}
    if missing := [name for name, value in fields.items() if not value]:
        raise CannotServe(
            f"prompts={part.name} uses the {missing[0]} of a class, and {entry.id!r} has none in its list",
            hint="another strategy, or a class list that says it: vgbench list parts",
        )
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    params = {"prompts": part, "class": fields, "n": n}
    params |= {name: _place(g, entry, part.name, name, places.get(name)) for name in values.get("places", ())}
    if values.get("weights"):
        params["weights"] = g.weights(values["weights"])
    return g.node(replace(PROMPT, needs=part.needs), params=params)


def negative_of(g: Graph, entry: ClassEntry, classes: ClassList, *, strategy: str, text: str) -> str:
    """Return a class's negative prompt: ``text``, or what the part of kind ``negatives`` named ``strategy`` says.

    Such a part's ``text`` follows the names of all other classes of the list where its ``others`` is true, so that the
    images of a class are other ones in another list. ``UsageError`` where both are given.
    """
    if not strategy:
        return text
    if text:
        raise UsageError(f"negatives={strategy} and negative={text!r} are both given", hint="leave one out")
    values = g.part("negatives", strategy).values
    others = [other.name for other in classes.classes if other.name != entry.name] if values["others"] else []
    return ", ".join((*others, values["text"]))


def _place(g: Graph, entry: ClassEntry, strategy: str, name: str, path: str | None) -> Place:
    if path is None:
        hint = f"{name}=FOLDER says where (Debian: wordnet-base, /usr/share/wordnet)" if name == "wordnet" else None
        raise UsageError(f"prompts={strategy} reads {name}", hint=hint)
    if name == "wordnet" and not re.fullmatch(r"n\d{8}", entry.id):
        raise CannotServe(f"prompts={strategy} takes classes of WordNet, and {entry.id!r} is none of its ids")
    return g.path(path)
