"""Answers and features against a truth: scored, in coarser categories, or measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from vgbench.errors import UsageError
from vgbench.metrics.measures import MEASURES
from vgbench.types import ClassList, Graph, Input, Node, Part, Rate, Scores, StepRef

Categories: TypeAlias = Sequence[tuple[str, Sequence[int]]]
Rule: TypeAlias = Literal["mean", "top1", "restricted"]

CATEGORISE = StepRef("vgbench.categorise", "1", "vgbench.steps.categorise:categorise", rate=Rate(620_000, 15))
MEASURE = StepRef("vgbench.measure", "1", "vgbench.steps.measure:measure", rate=Rate(500, 40))
SCORE = StepRef("vgbench.score", "3", "vgbench.steps.score:score", rate=Rate(43_000, 75))


def categorised(g: Graph, predictions: Node, categories: Categories, *, rule: Rule) -> Node:
    """Turn predictions with scores over a head's classes into answers in a test's categories.

    ``categories`` are pairs of (category id, positions in the head). ``mean``: the highest mean probability of a
    category's members; ``top1``: the category of the top class, ``na`` where it has none; ``restricted``: the category
    of the most probable member, whatever the head says of other classes.
    """
    listed = [[name, list(members)] for name, members in categories]
    return g.node(CATEGORISE, inputs={"predictions": predictions}, params={"categories": listed, "rule": rule})


def answered(
    g: Graph,
    answers: Node,
    labels: Node,
    *,
    scorer: Part,
    categories: Categories | None = None,
    rule: Rule = "top1",
    untrained: Node | None = None,
    has_floor: bool = True,
) -> Scores:
    """Score answers to a test, in coarser categories where there are some.

    ``untrained``: the answers of the same network's initialisation, the control ``random_init``; and with ``has_floor``
    what a bias scorer compares with: it gives no value to a network that answers no better.
    """

    def in_categories(found: Node) -> Node:
        return found if categories is None else categorised(g, found, categories, rule=rule)

    if untrained is None:
        return Scores(score(g, in_categories(answers), labels, scorer=scorer))
    floor = in_categories(untrained)
    return Scores(
        score(g, in_categories(answers), labels, scorer=scorer, random_init=floor if has_floor else None),
        {"random_init": score(g, floor, labels, scorer=scorer)},
    )


def score(g: Graph, predictions: Node, labels: Node, *, scorer: Part, random_init: Node | None = None) -> Node:
    """Score predictions against the labels of a real split. The scorer's options are its part's values.

    ``random_init``: predictions of the untrained network, which bias scorers compare with (option ``random_init``).
    """
    inputs: dict[str, Input] = {"predictions": predictions, "labels": labels}
    if random_init is not None:
        inputs["random_init"] = random_init
    return g.node(SCORE, inputs=inputs, params={"scorer": scorer})


def measured(
    g: Graph,
    images: Node,
    classes: ClassList,
    *,
    measures: Sequence[str],
    n: Mapping[str, int],
    reference: Node | None = None,
    text: Node | None = None,
    k: int = 5,
    fid_on: Literal["unit", "raw"] = "unit",
) -> Node:
    """Measure an image set's features: ``measures`` of ``vgbench.metrics.measures``, the first the main metric.

    ``n``: the number of images that each of fid, kid, precision, recall, density and coverage (of the set) and vendi
    (of each class) is taken of. ``reference``: features of real images; ``text``: (C, D), of the class names. k = 5:
    Naeem et al. 2020, §5.2, for density and coverage; Kynkäänniemi et al. 2019 take 3. ``fid_on``: GenBench takes the
    FID of CLIP features at length 1 (its code), Inception features are taken as they are.
    """
    inputs: dict[str, Input] = {"images": images}
    params: dict[str, Any] = {"class_ids": list(classes.ids), "measures": list(measures)}
    read = {name for measure in measures for name in MEASURES[measure].reads}
    for name, node in (("reference", reference), ("text", text)):
        if name in read:
            if node is None:
                raise UsageError(f"{', '.join(measures)}: the features `{name}` are read, and there are none here")
            inputs[name] = node
    params["n"] = {measure: n[measure] for measure in measures if MEASURES[measure].n != "all"}
    if "fid" in measures:
        params["fid_on"] = fid_on
    if {"precision", "recall", "density", "coverage"} & set(measures):
        params["k"] = k
    return g.node(MEASURE, inputs=inputs, params=params)
