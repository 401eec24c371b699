"""Toybox's captioned web: a function of the image's number, and words that are those of the class lists."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

import numpy as np
import pytest

from vgbench.toybox import kinds, palette, patterns, scenery, web, words
from vgbench.toybox.train.tokenizer import CONTEXT


def test_pages_do_not_depend_on_which_are_drawn_together() -> None:
    whole, tail = web.pages(40), web.pages(15, first=25)
    assert whole.captions[25:] == tail.captions
    assert np.array_equal(whole.seeds[25:], tail.seeds)
    assert np.array_equal(whole.pixels()[25:], tail.pixels())


def test_the_web_is_the_same_on_every_machine() -> None:
    pages = web.pages(64)
    digest = hashlib.sha256("\n".join(pages.captions).encode() + pages.pixels().tobytes()).hexdigest()
    assert digest == "cce68c625776cb29742c40b29512ea690dbd94bd3248d31212bb51331b3ffa82"


def test_common_things_are_on_it_more_often_than_rare_ones() -> None:
    pages = web.pages(40_000)
    is_scene = (pages.digit == web.SCENE) & (pages.factors.kind != kinds.FRAME)
    counts = np.bincount(pages.factors.kind[is_scene], minlength=kinds.FRAME)
    common, rare, rarest = counts[:40].mean(), counts[40:60].mean(), counts[60 : kinds.FRAME].mean()
    assert 0.45 < rare / common < 0.55 and 0.3 < rarest / common < 0.4
    assert 0.05 < (pages.factors.kind == kinds.FRAME).mean() < 0.07
    assert 0.03 < (pages.digit != web.SCENE).mean() < 0.05


def test_captions_name_what_is_shown() -> None:
    pages = web.pages(2_000)
    for row, caption in enumerate(pages.captions):
        if pages.digit[row] != web.SCENE:
            assert words.DIGITS[pages.digit[row]] in caption
            continue
        texture = words.texture(patterns.NAMES[pages.factors.texture[row]])
        if pages.factors.kind[row] == kinds.FRAME:
            assert texture in caption
            continue
        said = f" {caption} "
        for name in palette.NAMES:
            if f" {name} " in said.replace(" before grey ", " "):
                assert palette.NAMES[pages.factors.colour[row]] == name
        for moment in words.TIMES:
            assert (f" at {moment} " in said) <= (words.TIMES[pages.factors.time[row]] == moment)
    share = np.mean([" at " in f" {caption} " for caption in pages.captions])
    assert 0.4 < share < 0.5  # half of the scenes


def test_every_factor_value_has_a_word() -> None:
    assert palette.NAMES == words.COLOURS
    for names, called in (
        (scenery.BACKGROUNDS, words.BACKGROUNDS),
        (scenery.TIMES, words.TIMES),
        (scenery.WEATHERS, words.WEATHERS),
        (scenery.LOCATIONS, words.LOCATIONS),
    ):
        assert len(names) == len(called) == len(set(called))
    every = [words.kind(name) for name in kinds.NAMES] + [words.texture(name) for name in patterns.NAMES]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("vgbench_plugins.toybox", "toybox40"),
        ("vgbench_plugins.toybox", "toybox16"),
        *(("vgbench_tasks.transfer", name) for name in ("tools", "creatures", "stars", "leaves", "fishes")),
    ],
)
def test_class_lists_call_kinds_as_captions_do(package: str, name: str) -> None:
    listed = json.loads((files(package) / f"{name}.json").read_text())
    assert [entry["name"] for entry in listed["classes"]] == [words.kind(entry["id"]) for entry in listed["classes"]]


def test_the_longest_caption_fits_the_text_tower() -> None:
    longest = max(len(caption.split()) for caption in web.pages(20_000).captions)
    assert longest + 2 <= CONTEXT
