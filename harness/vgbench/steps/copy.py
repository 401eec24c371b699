"""Read a data set from a local copy in Parquet: images and labels apart, the frozen split checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vgbench.images import FoundImage, judge, write_found, write_labels
from vgbench.inplace import InPlace
from vgbench.listing import scan
from vgbench.types import Made, Step, sha256_hex

COLUMNS = ("sample_id", "split", "image", "class_id")  # image: {bytes, path} or binary


@dataclass(frozen=True, slots=True)
class _Sample:
    sample_id: str
    class_id: str
    location: str
    more: Mapping[str, Any]


def images(step: Step) -> Made:
    """Index a split's images where they lie, without their labels. ``ValueError`` if one does not decode."""
    place = InPlace(step.params["place"].path)
    found = []
    for sample in _split(step):
        judged = judge(place.read(sample.location))
        if judged.reason is not None:
            raise ValueError(f"{sample.sample_id} ({sample.location}) does not decode: {judged.reason}")
        found.append(FoundImage(sample.location, sample.sample_id, None, judged))
    write_found(step.out, found)
    return Made(len(found))


def labels(step: Step) -> Made:
    """Write a split's labels: ``class_id``, and every further column of the copy (factors such as ``texture``)."""
    samples = _split(step)
    more = {
        name: [sample.more.get(name) for sample in samples] for name in sorted({n for s in samples for n in s.more})
    }
    write_labels(step.out, [(sample.sample_id, sample.class_id) for sample in samples], more=more)
    return Made(len(samples), dict(Counter(sample.class_id for sample in samples)))


def _split(step: Step) -> list[_Sample]:
    """Return a split's samples in the order of their ids.

    Raises ``ValueError`` when the ids are not those the key names, one stands twice, or a file is not such a table.
    """
    place, split = step.params["place"], step.params["split"]
    found = sorted(_rows(place.path, split), key=lambda sample: sample.sample_id)
    ids = [sample.sample_id for sample in found]
    if len(set(ids)) != len(ids):
        double = next(sample_id for sample_id, n in Counter(ids).items() if n > 1)
        raise ValueError(f"{place.path}: sample id {double!r} stands twice in split {split!r}")
    digest = sha256_hex("\n".join(ids))
    if digest != step.params["sample_ids"]:
        raise ValueError(
            f"{place.path}: the {len(ids)} sample ids of split {split!r} have the hash {digest[:12]}…, "
            f"{step.params['dataset']} declares {step.params['sample_ids'][:12]}…"
        )
    return found


def _rows(path: str, split: str) -> Iterator[_Sample]:
    listing = scan(path)
    for name in listing.files:
        file = listing.path(name)
        if file.suffix != ".parquet":
            continue
        try:
            names = [name for name in pq.read_schema(file).names if name != "image"]
            table = pq.read_table(file, columns=names)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file} is no Parquet file with the columns {', '.join(COLUMNS)}: {error}") from error
        if not {"sample_id", "split", "class_id"} <= set(names):
            raise ValueError(f"{file} lacks one of the columns {', '.join(COLUMNS)}")
        for row, value in enumerate(table.to_pylist()):
            if value["split"] == split:
                more = {key: value[key] for key in names if key not in COLUMNS}
                yield _Sample(value["sample_id"], value["class_id"], f"{name}#image[{row}]", more)
