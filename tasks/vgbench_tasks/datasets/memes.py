"""Hateful Memes as its challenge published it: SPLIT.jsonl with id, img, label, text, and the folder img/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from vgbench.listing import Listing
from vgbench_tasks.datasets.naming import Naming
from vgbench_tasks.datasets.samples import Copy, Sample


def open_copy(listing: Listing, names: Sequence[str], naming: Naming) -> Copy:
    """Return the splits of the ``.jsonl`` files: train, dev_seen, dev_unseen, test_seen, test_unseen."""
    return Copy("jsonl", {PurePosixPath(name).stem: partial(_samples, listing, name, naming) for name in names})


def _samples(listing: Listing, name: str, naming: Naming) -> list[Sample]:
    where, folder = str(listing.path(name)), PurePosixPath(name).parent
    class_ids = naming.of_numbers(where)
    found: list[Sample] = []
    for number, line in enumerate(filter(str.strip, listing.path(name).read_text("utf-8").splitlines())):
        value = json.loads(line)
        image = str(folder / value["img"])
        if image not in listing.files:
            raise ValueError(f"{where}, line {number + 1}: {image} does not lie there")
        if value.get("label") not in range(len(class_ids)):
            raise ValueError(f"{where}, line {number + 1}: label {value.get('label')!r} is neither 0 nor 1")
        found.append(Sample(f"{PurePosixPath(name).stem}/{value['img']}", image, (class_ids[value["label"]],)))
    return found
