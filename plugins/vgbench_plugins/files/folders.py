"""A folder of folders: the first folder of a file's name is its class."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from vgbench.listing import Listing
from vgbench_plugins.files.candidates import SUFFIXES, Candidate, Found


def find(listing: Listing) -> Found:
    """Return every image file that lies in a class folder, at any depth below it."""
    candidates: list[Candidate] = []
    aside: Counter[str] = Counter()
    for name in listing.files:
        class_name, separator, _ = name.partition("/")
        if PurePosixPath(name).suffix.lower() not in SUFFIXES:
            aside["not an image file"] += 1
        elif not separator:
            aside["not in a class folder"] += 1
        else:
            candidates.append(Candidate(name, name, class_name))
    return Found(candidates, aside, "A class folder is named by class id, name or synonym")
