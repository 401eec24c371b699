"""FOCUS: its ten categories, the ImageNet classes that count as them, and which attributes are uncommon for each.

Source: visinf/benchmarking-synthetic-clones, ``context_bias`` (protocols.md §3.9). The order of the categories and of
each attribute's values is that of the annotation's numbers. The categories hold 226 ImageNet classes, none twice.
"""

from __future__ import annotations

from vgbench_tasks.imagenet import categories_of

LISTED = {
    "truck": "407,555,569,654,675,717,757,779,864,867",
    "car": "436,468,511,609,627,656,705,734,751,817",
    "plane": "404,895",
    "ship": "403,472,510,554,625,628,693,724,780,814,914",
    "cat": "281-285",
    "dog": "151-268,273-275",
    "horse": "339-340",
    "deer": "351-353",
    "frog": "30-32",
    "bird": "7-24,80-100,127-146",
}
CATEGORIES = categories_of(LISTED)

TIMES = ("day", "night", "none")
WEATHERS = ("cloudy", "foggy", "partly-cloudy", "raining", "snowing", "sunny", "none")
LOCATIONS = ("forest", "grass", "indoors", "rocks", "sand", "street", "snow", "water", "none")

UNCOMMON_TIMES = {name: frozenset() if name == "frog" else frozenset({"night"}) for name in LISTED}
UNCOMMON_WEATHERS = dict.fromkeys(LISTED, frozenset({"foggy", "raining", "snowing"}))
UNCOMMON_LOCATIONS = {
    "truck": frozenset({"indoors", "rocks", "snow", "water"}),
    "car": frozenset({"indoors", "rocks", "snow", "water"}),
    "plane": frozenset({"forest", "indoors", "rocks", "sand", "snow", "water"}),
    "ship": frozenset({"forest", "grass", "indoors", "rocks", "sand", "street", "snow"}),
    "cat": frozenset({"forest", "rocks", "sand", "snow", "water"}),
    "dog": frozenset({"forest", "rocks", "snow"}),
    "horse": frozenset({"indoors", "rocks", "street", "snow", "water"}),
    "deer": frozenset({"indoors", "rocks", "sand", "street", "snow", "water"}),
    "frog": frozenset({"indoors", "street", "snow"}),
    "bird": frozenset({"indoors", "street", "snow"}),
}
