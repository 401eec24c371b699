"""Probes: fitted on features, scored, and fitted again on permuted labels as a control."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vgbench.errors import CannotServe
from vgbench.stages.scoring import score
from vgbench.types import ClassList, Graph, Input, Node, Part, Rate, Scores, StepRef

PERMUTATIONS = 20  # label permutations of a probe's control (design §2)
PROBE = StepRef("vgbench.probe", "1", "vgbench.steps.probe:probe", seed="probe", rate=Rate(10_000, 60))


def probed(
    g: Graph,
    train: Node | None,
    test: Node,
    classes: ClassList,
    *,
    probe: Part,
    labels: Node,
    scorer: Part,
    text: Node | None = None,
    val: Node | None = None,
    multi_label: bool = False,
    ranked: bool = False,
) -> Scores:
    """Fit a probe, score it, and score its control: the same fit on permuted training labels.

    ``ranked``: the scorer reads the control's scores too (as it does with ``multi_label``). There is no control
    where nothing is learnt from labels, nor of a probe that reports every epoch: its best one is above chance.
    """

    def scored(permutations: int) -> Node:
        fitted = fit_probe(
            g,
            train,
            test,
            classes,
            probe=probe,
            permutations=permutations,
            text=text,
            val=val,
            multi_label=multi_label,
            ranked=ranked,
        )
        return score(g, fitted, labels, scorer=scorer)

    has_control = "train" in reads(probe) and not probe.values.get("per_epoch", False)
    controls = {"permuted_labels": scored(PERMUTATIONS)} if has_control else {}
    return Scores(scored(0), controls, uses_real_labels=val is not None and "val" in reads(probe))


def reads(probe: Part) -> tuple[str, ...]:
    """Return what a probe reads besides the test features: of train, text and val."""
    return tuple(probe.values.get("reads", ("train",)))


def fit_probe(
    g: Graph,
    train: Node | None,
    test: Node,
    classes: ClassList,
    *,
    probe: Part,
    permutations: int = 0,
    text: Node | None = None,
    val: Node | None = None,
    multi_label: bool = False,
    ranked: bool = False,
) -> Node:
    """Fit a probe on what it reads of labelled features, text features and validation features; predict the test's.

    What it does not read is not wired in, so a probe of text alone is the same node for every source. ``val`` is read
    where there is one. With ``permutations`` > 0 it is the control: that many fits, each on permuted training labels;
    its scores are kept with ``multi_label`` or ``ranked``. Raises ``CannotServe`` when train or text is read and not
    given, and for several labels per image where the probe takes one.
    """
    if multi_label and not probe.values.get("multi_label", True):
        raise CannotServe(f"probe {probe.name} takes one label per image", hint="for example: logreg-path")
    given = {"train": train, "text": text, "val": val}
    inputs: dict[str, Input] = {"test": test}
    for name in reads(probe):
        node = given[name]
        if node is not None:
            inputs[name] = node
        elif name != "val":
            raise CannotServe(f"probe {probe.name} reads {name} features, and there are none here", hint=_HINTS[name])
    params: dict[str, Any] = {"probe": probe, "class_ids": list(classes.ids), "permutations": permutations}
    if multi_label:
        params["multi_label"] = True
    if (permutations or probe.values.get("per_epoch", False)) and (multi_label or ranked):
        params["keep_scores"] = True
    return g.node(replace(PROBE, needs=probe.needs), inputs=inputs, params=params)


_HINTS = {
    "train": "a probe that reads text alone: zeroshot",
    "text": "take an encoder with a text tower, or another probe: vgbench list parts",
}
