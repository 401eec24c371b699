"""The 16 categories of cue conflict, and the 207 ImageNet classes that count as them.

Source: model-vs-human, ``helper/human_categories.py`` (protocols.md §3.8).
"""

from __future__ import annotations

from vgbench_tasks.imagenet import categories_of

LISTED = {
    "airplane": "404",
    "bear": "294-297",
    "bicycle": "444,671",
    "bird": "8,10-16,18-20,22-24,80-83,87-96,98-100,127-133,135-145",
    "boat": "472,554,625,814,914",
    "bottle": "440,720,737,898-899,901,907",
    "car": "436,511,817",
    "cat": "281-286",
    "chair": "423,559,765,857",
    "clock": "409,530,892",
    "dog": "152-191,193-203,205-226,228-241,243-250,252-257,259,261-263,265-268",
    "elephant": "385-386",
    "keyboard": "508,878",
    "knife": "499",
    "oven": "766",
    "truck": "555,569,656,675,717,734,864,867",
}
CATEGORIES = categories_of(LISTED)
