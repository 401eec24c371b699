"""Worlds and their test sets: frequencies as documented, paired sets differ in one factor, splits share no image."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vgbench.toybox import kinds, scene, scenery, sets, textures
from vgbench.toybox.downstream import DOWNSTREAM, downstream
from vgbench.toybox.scene import SIZES
from vgbench.toybox.sets import Examples
from vgbench.toybox.world import CONTEXT, Dials, World, pick_other, sample, seed, seeds, world

FULL, COARSE = world("full"), world("coarse")
WORLDS = [FULL, COARSE, world("full-1"), world("coarse-7")]
N = 8_000


def differing(one: Examples, other: Examples) -> set[str]:
    """Return the factors in which two paired sets differ anywhere."""
    assert np.array_equal(one.seeds, other.seeds) and np.array_equal(one.label, other.label)
    return {name for name in SIZES if not np.array_equal(getattr(one.factors, name), getattr(other.factors, name))}


def within(share: float, expected: float, n: int) -> bool:
    """Say whether a share of n lies within four standard errors of what is expected."""
    return abs(share - expected) <= 4 * (expected * (1 - expected) / n) ** 0.5


# ── Worlds ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("here", WORLDS, ids=lambda w: w.name)
def test_a_world_shares_out_what_is_typical(here: World) -> None:
    n = len(here.kinds)
    own = here.typical_texture[:16]
    assert sorted(own) == list(range(textures.N_COARSE))  # "the texture of B" is one kind's only
    assert set(here.typical_texture) <= set(here.textures)
    assert set(Counter(here.typical_texture[16:]).values()) <= {3}
    grounds, profiles = Counter(here.typical_background), Counter(here.context)
    assert set(grounds) == set(here.backgrounds) and scenery.GREY not in grounds
    assert set(grounds.values()) == {n // len(here.backgrounds)}
    assert len(profiles) == 4 and set(profiles.values()) == {n // 4}
    for attribute in range(3):
        assert len({profile[attribute] for profile in profiles}) == 4  # profiles differ in all three
    assert max(Counter(here.typical_colour).values()) <= 5


def test_the_number_of_a_world_permutes_what_is_typical() -> None:
    one, other = world("coarse"), world("coarse-1")
    assert one.kinds == other.kinds and one.textures == other.textures
    for field in ("typical_texture", "typical_background", "context", "typical_colour"):
        assert getattr(one, field) != getattr(other, field)
    assert world("coarse-1") == other


def test_typical_backgrounds_and_contexts_are_not_bound_to_each_other() -> None:
    pairs = set(zip(FULL.typical_background, FULL.context, strict=True))
    assert len(pairs) > len(FULL.backgrounds) * 1.5


@pytest.mark.parametrize("name", ["", "tiny", "full-", "full-0", "full-01", "coarse-1.5", "coarse--1"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="it is called full or coarse"):
        world(name)


# ── Seeds ────────────────────────────────────────────────────────────────────────────────────────


def test_seeds_are_those_on_record() -> None:
    assert seed("full", "val", 0) == 0x255836A770A34
    assert seeds("full", "val", 3, first=2).tolist() == [seed("full", "val", i) for i in (2, 3, 4)]


def test_no_two_splits_share_a_seed() -> None:
    splits = ["val", "cue-conflict", "texture-pair", "background-pair", "focus"]
    splits += [f"downstream/{name}/{split}" for name in DOWNSTREAM for split in ("train", "test")]
    splits += [f"source/{s}/{kind}" for s in (0, 1) for kind in kinds.NAMES[:3]]
    drawn = np.concatenate([seeds(name, split, 300) for name in ("full", "coarse") for split in splits])
    assert len(np.unique(drawn)) == len(drawn)


# ── P(typical) ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("here", [FULL, COARSE], ids=lambda w: w.name)
@pytest.mark.parametrize("dial", [0.0, 0.3, 0.95, 1.0])
def test_typical_values_are_as_frequent_as_documented(here: World, dial: float) -> None:
    dials = Dials(background_bias=dial, texture_bias=dial, context_bias=dial, colour_bias=dial)
    drawn = sets.examples(here, "frequencies", N, dials=dials)
    for factor in ("texture", "colour", *CONTEXT):
        is_typical = getattr(drawn.factors, factor) == here.typical(factor, drawn.label)
        assert within(is_typical.mean(), dial + (1 - dial) / len(here.values(factor)), N), factor
    is_grey = drawn.factors.background == scenery.GREY
    assert within(is_grey.mean(), 0.1, N)  # whatever the dial
    rest = (drawn.factors.background == here.typical("background", drawn.label))[~is_grey]
    assert within(rest.mean(), dial + (1 - dial) / len(here.backgrounds), len(rest))


def test_without_dials_no_factor_tells_the_kind() -> None:
    drawn = sets.examples(COARSE, "frequencies", N)
    for factor in ("texture", "colour", "background", *CONTEXT):
        table = np.zeros((16, SIZES[factor]))
        np.add.at(table, (drawn.label, getattr(drawn.factors, factor)), 1)
        table = table[:, table.sum(axis=0) > 0]
        expected = table.sum(axis=0) / 16
        chi2 = ((table - expected) ** 2 / expected).sum()
        degrees = 15 * (table.shape[1] - 1)
        assert abs(chi2 - degrees) < 4 * (2 * degrees) ** 0.5, factor


@pytest.mark.parametrize("noise", [0.0, 0.25, 1.0])
def test_label_noise_is_the_share_of_other_kinds(noise: float) -> None:
    drawn = sets.examples(COARSE, "frequencies", N, dials=Dials(label_noise=noise))
    is_other = drawn.factors.kind != drawn.label
    assert within(is_other.mean(), noise, N)
    assert set(drawn.factors.kind.tolist()) <= set(COARSE.kinds)


def test_what_is_typical_follows_the_kind_shown() -> None:
    drawn = sets.examples(COARSE, "frequencies", 500, dials=Dials(label_noise=1.0, texture_bias=1.0))
    assert np.array_equal(drawn.factors.texture, COARSE.typical("texture", drawn.factors.kind))


def test_a_dial_moves_its_own_factor_only_and_only_towards_typical() -> None:
    moved = {
        "background_bias": {"background"},
        "texture_bias": {"texture"},
        "context_bias": set(CONTEXT),
        "colour_bias": {"colour"},
    }
    before = sets.examples(FULL, "frequencies", 2000)
    for dial, factors in moved.items():
        after = sets.examples(FULL, "frequencies", 2000, dials=Dials(**{dial: 0.5}))
        assert differing(before, after) == factors
        for factor in factors:
            new = getattr(after.factors, factor)
            changed = new != getattr(before.factors, factor)
            assert np.array_equal(new[changed], FULL.typical(factor, after.label)[changed])


@pytest.mark.parametrize("dial", ["background_bias", "texture_bias", "context_bias", "colour_bias", "label_noise"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_dials_outside_0_to_1_are_refused(dial: str, value: float) -> None:
    with pytest.raises(ValueError, match=dial):
        Dials(**{dial: value})


def test_factors_do_not_depend_on_their_batch() -> None:
    given, label = seeds("full", "any", 50), np.arange(50) % 40
    dials = Dials(texture_bias=0.5, label_noise=0.5)
    together = sample(FULL, given, label, dials)
    for i in (0, 17, 49):
        alone = sample(FULL, given[i : i + 1], label[i : i + 1], dials)
        assert all(getattr(alone, name)[0] == getattr(together, name)[i] for name in SIZES)


def test_others_are_drawn_evenly_and_never_the_avoided_one() -> None:
    share = (np.arange(6000) + 0.5) / 6000
    assert Counter(pick_other((2, 5, 7), share, np.full(6000, 5)).tolist()) == {2: 3000, 7: 3000}
    assert Counter(pick_other((2, 5, 7), share, np.full(6000, 2)).tolist()) == {5: 3000, 7: 3000}
    assert 4 not in pick_other((2, 5, 7), share, np.full(6000, 4))


# ── Test sets ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("here", [FULL, COARSE], ids=lambda w: w.name)
def test_sets_nest_and_have_each_kind_equally_often(here: World) -> None:
    n = len(here.kinds)
    small, large = sets.val(here, 2 * n), sets.val(here, 5 * n)
    assert set(Counter(large.label.tolist()).values()) == {5}
    assert np.array_equal(small.seeds, large.seeds[: 2 * n])
    assert all(np.array_equal(getattr(small.factors, f), getattr(large.factors, f)[: 2 * n]) for f in SIZES)
    assert np.array_equal(large.factors.kind, large.label)


@pytest.mark.parametrize("here", WORLDS, ids=lambda w: w.name)
def test_cue_conflicts_show_one_kind_in_the_texture_of_another(here: World) -> None:
    shown, texture_kind = sets.cue_conflict(here, 1600)
    assert np.array_equal(shown.factors.kind, shown.label) and shown.label.max() < 16
    assert (texture_kind != shown.label).all()
    assert np.array_equal(shown.factors.texture, here.typical("texture", texture_kind))
    assert (shown.factors.background == scenery.GREY).all()
    assert len(set(zip(shown.label.tolist(), texture_kind.tolist(), strict=True))) > 230  # of 240 pairs


def test_paired_sets_differ_in_what_is_tested_only() -> None:
    for here in WORLDS:
        same, other = sets.texture_pair(here, 800)
        assert differing(same, other) == {"texture"}
        assert np.array_equal(same.factors.texture, here.typical("texture", same.label))
        assert (same.factors.texture != other.factors.texture).all()
        assert not (same.factors.background == scenery.GREY).any()
        same, rand = sets.background_pair(here, 800)
        assert differing(same, rand) == {"background"}
        assert np.array_equal(same.factors.background, here.typical("background", same.label))
        assert (same.factors.background != rand.factors.background).all()
        assert set(rand.factors.background.tolist()) == set(here.backgrounds)


def test_partitions_hold_exactly_k_uncommon_attributes() -> None:
    for here in WORLDS:
        partitions = sets.focus(here, 1200)
        kinds_of_uncommon = []
        for k, partition in enumerate(partitions):
            uncommon = np.stack([getattr(partition.factors, a) != here.typical(a, partition.label) for a in CONTEXT])
            assert (uncommon.sum(axis=0) == k).all()
            kinds_of_uncommon.append(uncommon.mean(axis=1))
            assert differing(partitions[0], partition) <= set(CONTEXT)
        for k in (1, 2):  # which k is random
            assert all(within(share, k / 3, 1200) for share in kinds_of_uncommon[k])


@pytest.mark.parametrize("factor", ["texture", "background", "colour", "context", *CONTEXT])
def test_an_intervention_changes_one_factor_of_every_image(factor: str) -> None:
    before = sets.val(FULL, 400)
    after = sets.changed(FULL, before, factor)
    names = set(CONTEXT) if factor == "context" else {factor}
    assert differing(before, after) == names
    for name in names:
        assert (getattr(before.factors, name) != getattr(after.factors, name)).all()
    assert not ((after.factors.background == scenery.GREY) & (before.factors.background != scenery.GREY)).any()


def test_other_factors_cannot_be_changed_alone() -> None:
    with pytest.raises(ValueError, match="'kind'"):
        sets.changed(FULL, sets.val(FULL, 4), "kind")


# ── Downstream ───────────────────────────────────────────────────────────────────────────────────


def test_downstream_sets_cover_three_concepts() -> None:
    assert len(DOWNSTREAM) >= 6
    assert {one.concept for one in DOWNSTREAM.values()} == {"common", "fine-grained", "texture-like"}
    assert all(len(one.class_names) >= 6 for one in DOWNSTREAM.values())


@pytest.mark.parametrize("name", DOWNSTREAM)
def test_no_downstream_class_was_seen_in_pre_training(name: str) -> None:
    one, train = DOWNSTREAM[name], downstream(name, "train", 6)
    c = len(one.class_names)
    assert len(train) == 6 * c and set(Counter(train.label.tolist()).values()) == {6}
    assert np.array_equal(getattr(train.factors, one.decides), np.asarray(one.numbers)[train.label])
    seen = FULL.kinds if one.decides == "kind" else FULL.textures
    assert not set(one.numbers) & set(seen)
    if one.decides == "texture":
        assert one.on_objects != bool((train.factors.kind == kinds.FRAME).all())
    assert np.array_equal(downstream(name, "train", 9).seeds[: 6 * c], train.seeds)
    assert not set(train.seeds.tolist()) & set(downstream(name, "test", 6).seeds.tolist())
    assert train.pixels(size_px=32, rows=slice(0, 3)).shape == (3, 32, 32, 3)


def test_other_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="'web': train, val, test"):
        downstream("stars", "web", 1)  # type: ignore[arg-type]


def test_a_frame_covers_the_whole_image() -> None:
    drawn = downstream("patterns", "train", 4)
    still = scene.Style(occlusion=0.0, noise=0.0)
    here, there = (drawn.but(background=np.full(len(drawn), b)) for b in (1, 2))
    assert np.array_equal(here.pixels(style=still), there.pixels(style=still))


def test_another_value_is_drawn_evenly_also_for_one_that_is_not_among_them() -> None:
    share = (np.arange(1200) + 0.5) / 1200
    for avoid, expected in ((0, {1: 300, 2: 300, 3: 300, 4: 300}), (2, {1: 400, 3: 400, 4: 400})):
        found = pick_other((1, 2, 3, 4), share, np.full(1200, avoid))
        assert dict(zip(*(x.tolist() for x in np.unique(found, return_counts=True)), strict=True)) == expected
