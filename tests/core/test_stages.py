"""Graph pieces: a probe's node has what the probe reads, the libraries it needs, and a control where it learns."""

from __future__ import annotations

import pytest

from vgbench import stages
from vgbench.errors import CannotServe
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry
from vgbench.types import ClassEntry, ClassList, Node, Part, Scores, StepRef

CLASSES = ClassList("two", "1", (ClassEntry("a", "a"), ClassEntry("b", "b")))
SCORER = Part("scorer", "top1", "1", "vgbench.metrics.classify:top1")


@pytest.fixture(scope="module")
def g() -> Builder:
    return Builder(Registry(), Locator(), {})


def made(g: Builder, name: str) -> Node:
    return g.node(StepRef(f"vgbench.{name}", "1", "nowhere:at_all"))


def probed(g: Builder, probe: Part, *names: str, multi_label: bool = False, ranked: bool = False) -> Scores:
    """Probe with the inputs ``names``."""
    train, text, val = (made(g, name) if name in names else None for name in ("train", "text", "val"))
    return stages.probed(
        g,
        train,
        made(g, "test"),
        CLASSES,
        probe=probe,
        labels=made(g, "labels"),
        scorer=SCORER,
        text=text,
        val=val,
        multi_label=multi_label,
        ranked=ranked,
    )


def fitted(scores: Scores) -> Node:
    given = dict(scores.score.inputs)["predictions"]
    assert isinstance(given, Node)
    return given


def test_probe_reads_its_training_images_unless_it_says_otherwise(g: Builder) -> None:
    plain = probed(g, Part("probe", "p", "1"), "train", "text", "val")
    assert [name for name, _ in fitted(plain).inputs] == ["test", "train"]
    assert list(plain.controls) == ["permuted_labels"]


def test_probe_of_text_is_one_node_for_every_source_and_has_no_control(g: Builder) -> None:
    part = Part("probe", "p", "1", values={"reads": ["text"]})
    first, second = (probed(g, part, *names) for names in (("train", "text"), ("text", "val")))
    assert first.score == second.score and not first.controls
    assert [name for name, _ in fitted(first).inputs] == ["test", "text"]


def test_validation_images_are_read_where_there_are_some(g: Builder) -> None:
    part = Part("probe", "p", "1", values={"reads": ["train", "val"]})
    with_val, without = probed(g, part, "train", "val"), probed(g, part, "train")
    assert [name for name, _ in fitted(with_val).inputs] == ["test", "train", "val"]
    assert [name for name, _ in fitted(without).inputs] == ["test", "train"]


@pytest.mark.parametrize("name", ["train", "text"])
def test_input_that_a_probe_reads_and_the_task_lacks_is_named(g: Builder, name: str) -> None:
    with pytest.raises(CannotServe, match=f"probe p reads {name} features"):
        probed(g, Part("probe", "p", "1", values={"reads": [name]}))


def test_probe_of_every_epoch_has_no_control(g: Builder) -> None:
    assert not probed(g, Part("probe", "p", "1", values={"per_epoch": True}), "train").controls


def test_rankings_keep_the_scores_of_the_control_only(g: Builder) -> None:
    part = Part("probe", "p", "1")
    plain, ranked = probed(g, part, "train"), probed(g, part, "train", ranked=True)
    several = probed(g, part, "train", multi_label=True)
    assert plain.score == ranked.score != several.score
    control = {
        name: dict(s.controls["permuted_labels"].inputs)["predictions"]
        for name, s in {"plain": plain, "ranked": ranked, "several": several}.items()
    }
    kept = {name: isinstance(node, Node) and node.param.get("keep_scores", False) for name, node in control.items()}
    assert kept == {"plain": False, "ranked": True, "several": True}


def test_needs_of_a_probe_are_its_steps_and_enter_no_key(g: Builder) -> None:
    plain, needy = (probed(g, Part("probe", "p", "1", needs=needs), "train") for needs in ((), ("no_such_library",)))
    assert fitted(needy).step.needs == ("no_such_library",)
    assert plain.score.digest == needy.score.digest
