"""Nodes, digests, options: the contracts by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.errors import UsageError
from vgbench.types import Head, Images, Option, Part, Place, StepRef, canonical_json, make_node

DRAW = StepRef("vgbench.draw", "1", "m:f", seed="source", shards="index:micro_batch")
VIEW = StepRef("vgbench.view", "1", "m:g")


def test_digest_is_the_recipe_and_nothing_else() -> None:
    node = make_node(DRAW, params={"a": 1, "micro_batch": 4})
    elsewhere = StepRef("vgbench.draw", "1", "other.module:f", seed="source", shards="index:micro_batch", gpu=True)
    assert make_node(elsewhere, params={"micro_batch": 4, "a": 1}, owner="x").digest == node.digest
    assert make_node(DRAW, params={"a": 1, "micro_batch": 8}).digest != node.digest
    assert make_node(DRAW, params={"a": 1, "micro_batch": 4}, seeds={"source": 1}).digest != node.digest
    assert make_node(DRAW, params={"a": 1, "micro_batch": 4}, seeds={"train": 1}).digest == node.digest
    bumped = StepRef("vgbench.draw", "2", "m:f", seed="source", shards="index:micro_batch")
    assert make_node(bumped, params={"a": 1, "micro_batch": 4}).digest != node.digest


def test_digest_is_frozen() -> None:
    """Golden digest: a change of the key's form orphans everybody's store, so it must be seen and meant."""
    node = make_node(
        VIEW, inputs={"x": make_node(DRAW, params={"micro_batch": 4}).head(3)}, params={"k": [1, 2.5, "é"]}
    )
    assert node.digest == "497f6612c4058f1864aeab43078d24b33ce13b4c49d0bfb4673fc4d87f8c362b"


def test_parts_enter_by_name_and_values_places_by_identity() -> None:
    part = Part("probe", "logreg", "1", "here:fit", {"c": 1.0})
    node = make_node(VIEW, params={"probe": part, "data": Place("abc", "/somewhere")})
    moved = make_node(
        VIEW, params={"probe": Part("probe", "logreg", "1", "there:fit", {"c": 1.0}), "data": Place("abc", "/else")}
    )
    assert node.digest == moved.digest
    assert "/somewhere" not in node.params and dict(node.bindings) == {"probe": "here:fit", "data": "/somewhere"}
    other = make_node(VIEW, params={"probe": Part("probe", "logreg", "2", "here:fit", {"c": 1.0})})
    assert other.digest != make_node(VIEW, params={"probe": part}).digest


def test_head_enters_the_consumers_key_not_the_producers() -> None:
    draw = make_node(DRAW, params={"micro_batch": 4})
    five, eight = (make_node(VIEW, inputs={"x": draw.head(n)}) for n in (5, 8))
    assert five.digest != eight.digest
    assert {n.digest for n in five.walk()} & {n.digest for n in eight.walk()} == {draw.digest}


def test_image_set_travels_with_its_members() -> None:
    draw = make_node(DRAW, params={"micro_batch": 4})
    index = make_node(VIEW, inputs={"x": draw.head(5)})
    from vgbench.types import ClassList

    pack = make_node(VIEW, inputs={"images": Images(index, (draw.head(5),), ClassList("c", "1", ()))})
    assert dict(pack.inputs) == {"images": index, "images/0000": Head(draw, 5)}


def test_only_open_ended_nodes_have_a_head() -> None:
    with pytest.raises(UsageError, match="not open-ended"):
        make_node(VIEW).head(3)


def test_deep_graphs_are_walked_without_recursion() -> None:
    node = make_node(VIEW)
    for _ in range(20_000):
        node = make_node(VIEW, inputs={"x": node})
    assert sum(1 for _ in node.walk()) == 20_001


def test_params_must_be_json() -> None:
    for bad in (float("nan"), {1, 2}, object()):
        with pytest.raises(UsageError, match="not JSON"):
            make_node(VIEW, params={"x": bad})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_canonical_json_does_not_depend_on_order(value: object) -> None:
    def reversed_keys(v: object) -> object:
        if isinstance(v, dict):
            return {k: reversed_keys(v[k]) for k in reversed(list(v))}
        return [reversed_keys(i) for i in v] if isinstance(v, list) else v

    assert canonical_json(reversed_keys(value)) == canonical_json(value)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        (Option("n", "int", 1, ""), "7", 7),
        (Option("x", "float", 1.0, ""), "2", 2.0),
        (Option("b", "bool", True, ""), "false", False),
        (Option("k", "count", 5, ""), "all", None),
        (Option("s", "str", "a", "", choices=("a", "b")), "b", "b"),
    ],
)
def test_option_casts_text(option: Option, text: str, value: object) -> None:
    cast = option.cast(text)
    assert cast == value and type(cast) is type(value)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        (Option("n", "int", 1, ""), "7.5", "not a whole number"),
        (Option("x", "float", 1.0, ""), "nan", "not a finite number"),
        (Option("b", "bool", True, ""), "maybe", "not true or false"),
        (Option("k", "count", 5, ""), "0", "at least 1"),
        (Option("n", "int", 1, "", minimum=2), "1", "must be at least 2"),
        (Option("s", "str", "a", "", choices=("a", "b")), "c", "s=c"),
    ],
)
def test_option_refuses_wrong_text(option: Option, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        option.cast(text)
