"""The settings of the calibration: which sources are trained on, and how. Fixed before the first run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WORLD, SIZE_PX = "coarse", 48
IMAGES_PER_CLASS = 250
RECIPE, PLAIN_RECIPE = "toybox-small", "toybox-small-plain"
BACKBONE, OTHER_BACKBONE = "toybox-resnet", "test_efficientnet"
SEEDS = 3
N_TEST = 1_000  # trials of each test: a difference of two shares has a standard error of at most .02
TASKS = ("cue-conflict", "focus", "background-gap", "interventions")

# Each bias dial with its levels beside 0. Effects are convex (P(typical) must win over shape), so levels crowd at 1.
LEVELS = {
    "texture_bias": (0.4, 0.7, 0.85, 0.95, 1.0),
    "background_bias": (0.4, 0.7, 0.85, 0.95, 1.0),
    "context_bias": (0.2, 0.4, 0.6, 0.8, 0.95),
}
# What no bias metric should answer to: another bias, label noise, and three placebos.
OTHERS = {
    "colour_bias": (0.5, 0.95),
    "label_noise": (0.2, 0.4, 0.6),
    "pose_range": (0.0, 2.0),
    "occlusion": (0.0, 2.0),
    "noise": (0.0, 2.0),
}
JOINT = (0.0, 0.7, 0.95)  # levels of the Latin square


@dataclass(frozen=True, slots=True)
class Setting:
    """A source, how much of it, and how it is trained on; ``group`` says what it is in the design for."""

    group: str
    source: Mapping[str, float] = field(default_factory=dict)
    images_per_class: int = IMAGES_PER_CLASS
    samples_seen: int | None = None
    backbone: str = BACKBONE
    recipe: str = RECIPE
    seeds: int = SEEDS

    @property
    def name(self) -> str:
        """The setting in words, ``base`` for none that differs."""
        words = [f"{dial}={level:g}" for dial, level in self.source.items()]
        words += [f"images_per_class={self.images_per_class}"] if self.images_per_class != IMAGES_PER_CLASS else []
        words += [f"samples_seen={self.samples_seen}"] if self.samples_seen else []
        words += [self.backbone] if self.backbone != BACKBONE else []
        words += [self.recipe] if self.recipe != RECIPE else []
        return " ".join(words) or "base"

    @property
    def training(self) -> tuple[int, int | None, str, str, int]:
        """What an experiment file holds once: settings with equal ones fit into one."""
        return self.images_per_class, self.samples_seen, self.backbone, self.recipe, self.seeds


def experiment(several: Sequence[Setting]) -> str:
    """Return settings of one kind of training as an experiment file of ``vgbench run``."""
    images_per_class, samples_seen, backbone, recipe, seeds = several[0].training
    lines = []
    for number, setting in enumerate(several):
        lines += [f"[sources.s{number}]", 'source = "toybox"', f'world = "{WORLD}"', f"size_px = {SIZE_PX}"]
        lines += [f"{dial} = {level}" for dial, level in setting.source.items()]
    for task in TASKS:
        lines += [f'[tasks."toybox/{task}"]', f'world = "{WORLD}"', f"size_px = {SIZE_PX}", f"n_test = {N_TEST}"]
    lines += ["[options]", f"images_per_class = {images_per_class}", f'backbone = "{backbone}"', f'recipe = "{recipe}"']
    lines += [f"samples_seen = {samples_seen}"] if samples_seen else []
    return "\n".join([*lines, "[seeds]", f"train = {seeds}", ""])


def settings() -> list[Setting]:
    """Return the whole design: dose response first, then what moves accuracy, the joint dials, the other networks."""
    found = [Setting("base")]
    found += [Setting("dose", {dial: level}) for dial, levels in LEVELS.items() for level in levels]
    found += [Setting("other", {dial: level}) for dial, levels in OTHERS.items() for level in levels]
    found += [Setting("amount", images_per_class=n) for n in (125, 500)]
    found += [Setting("amount", samples_seen=n) for n in (16_000, 64_000)]
    joint = [joint_setting(i, j) for i, j in itertools.product(range(3), repeat=2) if i or j]
    found += joint
    for backbone, recipe in ((OTHER_BACKBONE, RECIPE), (BACKBONE, PLAIN_RECIPE)):
        found.append(Setting("network", backbone=backbone, recipe=recipe, seeds=1))
        for dial, levels in LEVELS.items():
            for level in (levels[2], levels[4]):
                found.append(Setting("network", {dial: level}, backbone=backbone, recipe=recipe, seeds=1))
        for one in joint[1::2]:
            found.append(Setting("network", one.source, backbone=backbone, recipe=recipe, seeds=1))
    return found


def joint_setting(i: int, j: int) -> Setting:
    """Return a cell of the Latin square: every pair of levels of two dials stands once, so dials do not correlate."""
    levels = dict(zip(LEVELS, (JOINT[i], JOINT[j], JOINT[(i + j) % 3]), strict=True))
    return Setting("joint", {dial: level for dial, level in levels.items() if level})
