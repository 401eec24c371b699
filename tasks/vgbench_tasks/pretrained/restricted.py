"""A head that answers a test of other classes than its own, among those that both know; the scorer is told which."""

from __future__ import annotations

from dataclasses import replace

from vgbench import CannotServe, ClassList, Dataset, Graph, Node, Part, Scores, stages
from vgbench_tasks.pretrained.learner import Learner


def restricted(
    g: Graph, taught: Learner, given: Dataset, listed: ClassList, *, scorer: Part, permuted: bool = False
) -> Scores:
    """Score a test set of the classes ``listed``; controls: the initialisation, with ``permuted`` a second training.

    ``CannotServe`` where head and test share fewer than two classes.
    """
    categories = shared(taught.classes, listed)
    if len(categories) < 2:
        raise CannotServe(
            f"of {listed.name}'s {len(listed)} classes the head knows {len(categories)}, too few to tell apart"
        )
    same = taught.classes.ids == listed.ids
    if not same:
        scorer = replace(scorer, values={**scorer.values, "covered": [name for name, _ in categories]})

    def scored(answers: Node, untrained: Node | None = None) -> Scores:
        return stages.answered(
            g,
            answers,
            given.labels,
            scorer=scorer,
            categories=None if same else categories,
            rule="restricted",
            untrained=untrained,
            has_floor=False,
        )

    scores = scored(taught.answers(given.images), taught.untrained(given.images) if taught.untrained else None)
    controls = dict(scores.controls)
    if permuted and taught.permuted:
        controls["permuted_labels"] = scored(taught.permuted(given.images)).score
    return replace(scores, controls=controls, n_classes=len(categories))


def shared(head: ClassList, test: ClassList) -> list[tuple[str, tuple[int, ...]]]:
    """Return the test's classes that a head knows, each with the head's positions that count as it."""
    position = {wnid: i for i, wnid in enumerate(head.ids)}
    members = ((entry.id, [position.get(wnid) for wnid in entry.wnids or (entry.id,)]) for entry in test.classes)
    found = ((name, tuple(p for p in places if p is not None)) for name, places in members)
    return [(name, places) for name, places in found if places]
