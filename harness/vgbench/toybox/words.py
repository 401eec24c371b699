"""What Toybox's factors are called in words, and captions made of them. No numpy: class lists are compared with it."""

from __future__ import annotations

from collections.abc import Mapping

from vgbench.toybox import kinds, patterns

_KINDS = {  # where the id is no word that a person would write
    "boat": "sailing boat",
    "moon": "crescent moon",
    "bolt": "lightning bolt",
    "lamp": "table lamp",
    "icecream": "ice cream",
    "clock": "alarm clock",
    "plane": "aeroplane",
    "star-4": "star with four points",
    "star-6": "star with six points",
    "star-7": "star with seven points",
    "star-8": "star with eight points",
    "star-9": "star with nine points",
    "star-10": "star with ten points",
    "leaf-oval": "oval leaf",
    "leaf-lance": "lance leaf",
    "leaf-heart": "heart leaf",
    "leaf-oak": "oak leaf",
    "leaf-maple": "maple leaf",
    "leaf-feather": "feather leaf",
    "fish-herring": "herring",
    "fish-eel": "eel",
    "fish-perch": "perch",
    "fish-shark": "shark",
    "fish-carp": "carp",
    "fish-moon": "moonfish",
}
_TEXTURES = {
    "stripes-level": "level stripes",
    "stripes-upright": "upright stripes",
    "stripes-slanted": "slanted stripes",
    "nested-squares": "nested squares",
}
COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink", "brown", "grey")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BACKGROUNDS = ("grey", "hills", "skyline", "forest", "mountains", "sea", "room", "shelves", "space")
TIMES = ("day", "dawn", "dusk", "night")
WEATHERS = ("sunshine", "fog", "rain", "snow")
LOCATIONS = ("grass", "pavement", "sand", "fence")


def kind(class_id: str) -> str:
    """Return what a kind is called: ``fish-eel`` is an "eel". An unknown id is its own name."""
    return _KINDS.get(class_id, class_id)


def texture(name: str) -> str:
    """Return what a texture is called: ``stripes-level`` are "level stripes"."""
    return _TEXTURES.get(name, name)


def vocabulary() -> list[str]:
    """Return every word that a caption can hold, sorted: what the tokenizer knows as one token each."""
    texts = [*map(kind, kinds.NAMES), *map(texture, patterns.NAMES), *COLOURS, *DIGITS, *BACKGROUNDS, *TIMES, *WEATHERS]
    texts += [*LOCATIONS, *OPENERS, *PATTERN_OPENERS, *DIGIT_OPENERS, *FRAGMENTS.values()]
    return sorted({word for text in texts for word in text.replace("{}", " ").split()})


# ── Captions ─────────────────────────────────────────────────────────────────────────────────────

OPENERS = ("a photo of a {}", "a picture of a {}", "a {}", "{}", "the {}", "an image of a {}", "a photo of the {}")
PATTERN_OPENERS = ("a pattern of {}", "{}", "a photo of {}", "something with {}")
DIGIT_OPENERS = ("a photo of a {}", "the digit {}", "a handwritten {}", "{}")
FACTORS = ("kind", "colour", "texture", "background", "time", "weather", "location")
THING = "thing"  # an object whose kind a caption does not say
FRAGMENTS: Mapping[str, str] = {
    "texture": "with {}",
    "background": "before {}",
    "time": "at {}",
    "weather": "in {}",
    "location": "on {}",
    "thing": THING,
}
# One factor alone, as a prompt: what zero-shot classification of a factor asks.
PROMPTS: Mapping[str, str] = {
    "kind": "a photo of a {}",
    "texture": "something with {}",
    "colour": "a {} thing",
    "background": "a thing before {}",
    "time": "a thing at {}",
    "weather": "a thing in {}",
    "location": "a thing on {}",
}


def caption(named: Mapping[str, str], opener: str = OPENERS[0]) -> str:
    """Return the caption that names some factors of a scene, each by its word: ``{"kind": "eel", "time": "night"}``."""
    subject = " ".join(word for word in (named.get("colour"), named.get("kind", THING)) if word)
    rest = [FRAGMENTS[factor].format(named[factor]) for factor in FRAGMENTS if factor in named]
    return " ".join([opener.format(subject), *rest])
