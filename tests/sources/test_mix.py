"""``mix``: shares that nest, digests that do not know the order, unions whose ids never collide."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Answer

from vgbench import mixture
from vgbench.errors import CannotServe, UsageError
from vgbench.locate import Locator
from vgbench.planning import Builder
from vgbench.registry import Registry, split_asked
from vgbench.types import DataRequest, Images

WEIGHTS = st.lists(st.fractions(min_value="1/50", max_value=20, max_denominator=50), min_size=1, max_size=6)
COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def images(registry: Registry, source: str, n: int | None = 20) -> Images:
    g = Builder(registry, Locator(), {})
    request = registry.task("digits")[0].spec.request(g, registry.task("digits")[0].options)
    return g.images_of(registry.source(source), DataRequest(request.classes, n, references=request.references))


# ── shares ───────────────────────────────────────────────────────────────────────────────────────


@given(WEIGHTS, st.integers(0, 300))
def test_every_share_is_within_one_image_of_exact_and_all_are_dealt(weights: list[Fraction], n: int) -> None:
    given_ = mixture.apportioned(weights, n)
    exact = [weight / sum(weights) * n for weight in weights]
    m = len(weights)
    bound = Fraction(2 * m - 3, 2 * m - 2) if m > 1 else Fraction(0)  # Tijdeman 1980: 1 - 1/(2(m-1))
    assert sum(given_) == n
    assert all(abs(a - b) <= bound for a, b in zip(given_, exact, strict=True))


@given(WEIGHTS, st.integers(0, 200))
def test_one_more_image_is_one_more_of_one_component(weights: list[Fraction], n: int) -> None:
    more = [b - a for a, b in zip(mixture.apportioned(weights, n), mixture.apportioned(weights, n + 1), strict=True)]
    assert sorted(more) == [0] * (len(weights) - 1) + [1]


@given(st.fractions(min_value="1/40", max_value=9, max_denominator=40), st.integers(0, 200))
def test_two_components_get_their_largest_remainders(weight: Fraction, n: int) -> None:
    share = weight / (weight + 1) * n
    assert abs(mixture.apportioned([weight, 1], n)[0] - share) <= Fraction(1, 2)


def test_shares_nest_where_largest_remainders_would_take_an_image_back() -> None:
    # the Alabama paradox: by largest remainders of 10 images the third state gets 2, of 11 it gets 1
    third = [mixture.apportioned([6, 6, 2], n)[2] for n in range(15)]
    assert third == sorted(third) and third[7] == 1 and third[14] == 2


@given(COUNTS, st.integers(0, 4), st.integers(0, 250))
def test_counted_components_are_filled_first_and_the_weighted_share_the_rest(
    fixed: list[int], weight: int, n: int
) -> None:
    components = [mixture.Component(str(i), count=count) for i, count in enumerate(fixed)]
    components.append(mixture.Component("rest", weight=Fraction(weight)))
    *counted, rest = mixture.counts(components, n)
    assert sum(counted) == min(n, sum(fixed)) and all(a <= b for a, b in zip(counted, fixed, strict=True))
    assert rest == (max(0, n - sum(fixed)) if weight else 0)
    more = mixture.counts(components, n + 1)
    assert all(b - a in (0, 1) for a, b in zip((*counted, rest), more, strict=True))


# ── the text ─────────────────────────────────────────────────────────────────────────────────────


def test_commas_and_signs_in_parentheses_stay_with_their_component() -> None:
    text = "0.5*(toybox:noise=2,warp=1)+0.5*(original)"
    assert split_asked(f"mix:{text}") == ("mix", {"": text})
    assert split_asked(f"mix:parts={text},x=1") == ("mix", {"parts": text, "x": "1"})
    assert split_asked("mix:1*(dist-a::lbgen:x=1)") == ("mix", {"": "1*(dist-a::lbgen:x=1)"})
    assert split_asked("folder:/data/a (1),x=2") == ("folder", {"": "/data/a (1)", "x": "2"})
    assert split_asked("folder:/data/a(b") == ("folder", {"": "/data/a(b"})


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.5*(b)+0.5*(a)", "1*(a)+1*(b)"),
        ("(a)+(b)", "1*(a)+1*(b)"),
        ("30*(a)+10*(b)", "3*(a)+1*(b)"),
        ("1/3*(a)+0.5*(b)", "2*(a)+3*(b)"),
        ("0.2*(a)+0.3*(a)+0.5*(b)", "1*(a)+1*(b)"),
        ("100x(a) + 2*(b)", "100x(a)+1*(b)"),
        ("100x(a)+1*(a)", "100x(a)+1*(a)"),
        ("1*(mix:2*(b)+2*(a))+1*(c)", "1*(c)+1*(mix:1*(a)+1*(b))"),
    ],
)
def test_equal_mixtures_have_one_spelling(text: str, canonical: str) -> None:
    assert mixture.canonical(text) == canonical
    assert mixture.canonical(canonical) == canonical


def test_toml_parts_give_the_same_text() -> None:
    parts = [{"source": "toybox:noise=2,warp=1", "weight": 0.25}, {"source": "original", "weight": 0.75}]
    assert mixture.text_of(parts) == mixture.canonical("1*(toybox:noise=2,warp=1)+3*(original)")
    assert mixture.text_of([{"source": "a", "count": 100}, {"source": "b"}]) == "100x(a)+1*(b)"
    for wrong in ({"weight": 1}, {"source": "a", "weight": 1, "count": 2}, {"source": "a", "wieght": 1}):
        with pytest.raises(UsageError):
            mixture.text_of([wrong])


@pytest.mark.parametrize(
    ("parts", "what", "hint"),
    [
        ("0*(toybox)+1*(original)", "must be above 0", "0.5*(toybox)"),
        ("-1*(toybox)", "must be above 0", None),
        ("nan*(toybox)", "not a number", None),
        ("0x(toybox)", "not a whole number of at least 1", None),
        ("2.5x(toybox)", "not a whole number of at least 1", None),
        ("0.5*(toybx)+0.5*(original)", "no source is called 'toybx'", "did you mean 'toybox'?"),
        ("0.5*(toybox:nose=1)+0.5*(original)", "no option of toybox is called 'nose'", "did you mean 'noise'?"),
        ("0.5*(toybox:noise=2", "unbalanced parentheses", None),
        ("0.5*(toybox))", "unbalanced parentheses", None),
        ("0.5*toybox", "is no component of a mixture", "0.5*(toybox)"),
        ("(toybox)(original)", "is no component of a mixture", None),
        ("1*()", "names no source", None),
        ("1*(mix:1*(toybx))", "no source is called 'toybx'", "did you mean 'toybox'?"),
        ("", "a mixture of nothing", "0.5*(toybox)"),
    ],
)
def test_wrong_mixture_is_refused(
    vgbench: Callable[..., Answer], home: Path, parts: str, what: str, hint: str | None
) -> None:
    answer = vgbench("plan", "--source", f"mix:{parts}", "--tasks", "digits")
    assert answer.code == 2 and what in answer.err and "Traceback" not in answer.err
    assert hint is None or hint in answer.err
    assert not home.exists()


# ── the graph ────────────────────────────────────────────────────────────────────────────────────


def test_digest_does_not_know_the_order_the_scale_or_the_spelling(registry: Registry) -> None:
    spellings = [
        "mix:0.25*(toybox:noise=2,warp=0.5)+0.75*(original)",
        "mix:3*(original)+1*(toybox:noise=2,warp=0.5)",
        "mix:30*(original)+10*(toybox:warp=0.50,noise=2.0)",
        "mix:1*(original)+1*(original)+1*(original)+1*(toybox:slant=1,noise=2,warp=0.5)",
    ]
    assert len({images(registry, text).index.digest for text in spellings}) == 1
    assert (
        images(registry, "mix:1*(original)+1*(toybox)").index != images(registry, "mix:2*(original)+1*(toybox)").index
    )


def test_cell_digest_does_not_know_the_order(vgbench: Callable[..., Answer]) -> None:
    digests = [
        vgbench("plan", "--source", f"mix:{parts}", "--tasks", "digits", "--json").json["cells"][0]["digest"]
        for parts in ("1*(toybox)+2*(original)", "2*(original)+1*(toybox:noise=1)", "2*(original)+1*(toybox:noise=2)")
    ]
    assert digests[0] == digests[1] != digests[2]


def test_adding_a_class_changes_no_share(registry: Registry) -> None:
    g = Builder(registry, Locator(), {})
    digits = g.class_list("digits")
    members = []
    for n in (3, 10):
        classes = type(digits)("some", "1", digits.classes[:n])
        found = g.images("mix:1*(toybox)+1*(toybox:noise=2)", DataRequest(classes, 5))  # a tie at every odd number
        members.append({m.node.digest: m.n for m in found.members if not hasattr(m, "step")})  # type: ignore[union-attr]
    assert members[0].items() <= members[1].items() and sorted(set(members[0].values())) == [2, 3]


def test_mixture_sees_what_its_components_see(registry: Registry) -> None:
    assert registry.source("mix:1*(toybox)+1*(toybox:noise=2)").spec.sees.level == "class names"
    mixed = registry.source("mix:1*(toybox)+1*(mix:1*(original)+1*(toybox))").spec
    assert mixed.sees.level == "full labelled set"
    assert "toybox: none: drawn by code" in mixed.generator_training_data


def test_all_there_are_is_refused_by_weight_and_is_the_sum_by_count(registry: Registry) -> None:
    with pytest.raises(CannotServe, match="by weight needs a number"):
        images(registry, "mix:1*(original)+1*(toybox)", None)
    assert images(registry, "mix:10x(original)+20x(toybox)", None).classes.ids[0] == "digit-0"


# ── the images ───────────────────────────────────────────────────────────────────────────────────


def generated(vgbench: Callable[..., Answer], source: str, n: int, out: str) -> tuple[Answer, dict[str, object]]:
    asked = ["--source", source, "--tasks", "digits", "--classes", "digits/digit-3,digit-5"]
    answer = vgbench("generate", *asked, "--images-per-class", str(n), "-o", out, "--format", "folder")
    path = Path(out) / "manifest.json"
    return answer, json.loads(path.read_text()) if path.exists() else {}


def ids_of(manifest: dict[str, object]) -> set[str]:
    listed = manifest["images"]
    assert isinstance(listed, list)
    return {image["image_id"] for image in listed}


def test_union_has_the_shares_and_a_smaller_one_is_part_of_a_larger(
    vgbench: Callable[..., Answer], tmp_path: Path
) -> None:
    source = (
        "mix:1*(toybox:micro_batch=8)+2*(original)+1*(mix:1*(toybox:micro_batch=8)+1*(toybox:noise=2,micro_batch=8))"
    )
    sets = []
    for n in (5, 8, 16):
        answer, manifest = generated(vgbench, source, n, str(tmp_path / f"n{n}"))
        assert answer.code == 0, answer.err
        ids = ids_of(manifest)
        assert len(ids) == 2 * n
        sets.append(ids)
    assert sets[0] < sets[1] < sets[2]
    by_part = Counter(image_id.partition("/")[0] for image_id in sets[2])
    assert sorted(by_part.values()) == [8, 8, 16]  # 16 of two classes by 1 : 2 : 1; toybox twice, under other names


def test_component_that_runs_short_is_a_recorded_shortfall(vgbench: Callable[..., Answer], tmp_path: Path) -> None:
    answer, manifest = generated(vgbench, "mix:1*(original)+1*(toybox)", 400, str(tmp_path / "out"))
    assert answer.code == 0 and "fewer than asked" in answer.out
    counts = manifest["counts"]
    assert isinstance(counts, dict)
    assert counts["shortfall"] == {c: 400 - n for c, n in counts["per_class"].items()}
    assert all(200 < n < 400 for n in counts["per_class"].values())  # all 200 drawn ones, and the real ones there are


def test_union_is_an_index_and_copies_nothing(vgbench: Callable[..., Answer], home: Path, tmp_path: Path) -> None:
    assert generated(vgbench, "mix:1*(original)+1*(toybox:micro_batch=8)", 8, str(tmp_path / "out"))[0].code == 0
    unions = []
    for record in home.glob("store/*/*/*/commit.json"):
        step = json.loads(record.read_text())["step"][0]
        if step in ("vgbench.union", "vgbench.select"):
            files = sorted(p.name for p in record.parent.iterdir())
            assert files == ["commit.json", "index.parquet", "observed.json"]
            unions += [record.parent] if step == "vgbench.union" else []
    (union,) = unions
    ids = pq.read_table(union / "index.parquet")["image_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 16
