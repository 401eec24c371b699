"""Write the prompts of one class by a strategy: a part that third parties can add."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vgbench.types import Made, Step

PROMPTS_FILE = "prompts.json"


def prompt(step: Step) -> Made:
    """Write ``prompts.json``: {"prompts": […]}, what the part's function answers.

    The function is called as ``strategy(fields, n, step)``: ``fields`` are those of the class that the part ``uses``;
    ``n`` how many it may sample. Raises ``ValueError`` for an answer that is no list of texts, or an empty one.
    """
    strategy = step.params["prompts"]
    found: Sequence[str] = step.load(strategy)(step.params["class"], step.params["n"], step)
    if isinstance(found, str) or not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise ValueError(f"prompts={strategy.name} answered {found!r:.80}: a list of one text or more is needed")
    (step.out / PROMPTS_FILE).write_text(json.dumps({"prompts": list(found)}, indent=1) + "\n")
    return Made(len(found))
