"""Measure an image set by its features: how it goes with its class names, how far it is from real images, how varied.

Nothing is fitted. What each measure is, and the caveats: docs/quality.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vgbench.images import read_table, write_table
from vgbench.metrics.alignment import clip_scores
from vgbench.metrics.diversity import Neighbourhoods, neighbourhoods, unit, vendi
from vgbench.metrics.frechet import Moments, fid, kid
from vgbench.stats.proportions import LEVEL
from vgbench.steps.embed import FEATURES_FILE, ROWS_FILE
from vgbench.steps.probe import PREDICTIONS_FILE
from vgbench.steps.score import PER_CLASS_FILE, write_metrics
from vgbench.types import Artifact, Interval, Made, Step, Value

ClassRow = tuple[str, int, float, str]


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Features (N, D) float32, memory-mapped, with image ids (N,) and each image's class positions."""

    features: NDArray[np.float32]
    ids: list[str]
    labels: list[list[int]]

    @classmethod
    def open(cls, artifact: Artifact) -> FeatureSet:
        rows = read_table(artifact.path / ROWS_FILE)
        features = np.load(artifact.path / FEATURES_FILE, mmap_mode="r")
        if len(features) != rows.num_rows:
            raise ValueError(f"{len(features)} features for {rows.num_rows} rows")
        if "labels" in rows.column_names:
            labels = rows["labels"].to_pylist()
        else:
            labels = [[label] if label >= 0 else [] for label in rows["label"].to_pylist()]
        return cls(features, rows["image_id"].to_pylist(), labels)

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, n: int, among: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Return the features of the ``n`` images lowest by a hash of their id, so that fewer nest in more.

        Not by the hash of the id alone: by that `select` takes the lowest of each class, so a class that was chosen
        from many would crowd the others out.
        """
        rows = range(len(self)) if among is None else among
        ordered = sorted(rows, key=lambda row: hashlib.sha256(f"measure/{self.ids[row]}".encode()).digest())
        return np.asarray(self.features[np.sort(np.asarray(ordered[:n], np.int64))])


def measure(step: Step) -> Made:
    """Write what a score has: ``metrics.json``, ``predictions.parquet`` (sample_id, cosine), ``per_class.parquet``.

    Inputs: features of the ``images``; of real images, ``reference``, and of class names, ``text`` (C, D), where a
    measure reads them. Params: ``measures``, names in order, the first the main metric; ``class_ids``; ``n``, of
    measures that need a number of images: n of each set (fid, kid, precision, recall, density, coverage), or n of each
    class (vendi). With fewer images, of the source or of the reference, the value is withheld: all of these depend
    on the number. ``k``: the neighbour whose distance is a ball's radius; ``fid_on``: "unit" or "raw" features.

    ``cosine`` is null where no CLIP score is asked for. No ``items.parquet``: images of two sources are not the same
    items, so nothing can be paired. ``per_class.parquet`` has a column ``metric``.
    """
    images = FeatureSet.open(step.inputs["images"])
    run = _Measuring(images, step)
    values, rows = [], list[ClassRow]()
    for number, name in enumerate(step.params["measures"]):
        value, found = run.value(name)
        values.append(value)
        rows += found
        step.progress(number + 1, len(step.params["measures"]))
    write_metrics(step.out, {"metrics": [asdict(value) for value in values]})
    order = np.argsort(np.asarray(images.ids), kind="stable")
    cosine = pa.nulls(len(images), pa.float64()) if run.cosine is None else pa.array(run.cosine[order])
    write_table(step.out / PREDICTIONS_FILE, pa.table({"sample_id": [images.ids[i] for i in order], "cosine": cosine}))
    write_per_class(step.out, rows)
    return Made(len(images))


def write_per_class(out: Path, rows: Sequence[ClassRow]) -> None:
    """Write ``per_class.parquet``: class_id, n, value, and the metric whose value it is."""
    columns = {
        "class_id": pa.array([row[0] for row in rows], pa.string()),
        "n": pa.array([row[1] for row in rows], pa.int64()),
        "value": pa.array([row[2] for row in rows], pa.float64()),
        "metric": pa.array([row[3] for row in rows], pa.string()),
    }
    write_table(out / PER_CLASS_FILE, pa.table(columns))


class _Measuring:
    """One step's measures: what they share is worked out once."""

    def __init__(self, images: FeatureSet, step: Step) -> None:
        self.images = images
        self.params = step.params
        self.reference = FeatureSet.open(step.inputs["reference"]) if "reference" in step.inputs else None
        self.text = np.load(step.inputs["text"].path / FEATURES_FILE) if "text" in step.inputs else None
        self.cosine: NDArray[np.float64] | None = None
        self.balls: dict[int, Neighbourhoods] = {}
        dimensions = images.features.shape[1]
        real = None if self.reference is None else self.reference.features
        for name, other in (("reference", real), ("text", self.text)):
            if other is not None and other.shape[1] != dimensions:
                raise ValueError(f"features of images have {dimensions} dimensions, those of {name} {other.shape[1]}")

    def value(self, name: str) -> tuple[Value, list[ClassRow]]:
        """Return a measure's value, or the reason why it is withheld, and its values per class."""
        if name == "clip_score":
            return self._clip_score()
        if name == "vendi":
            return self._vendi(self.params["n"][name])
        if self.reference is None:
            raise ValueError(f"{name} needs the features of real images: input reference")
        n: int = self.params["n"][name]
        if n <= self.params.get("k", 0):
            return Value(name, None, n, reason=f"{n} images have no {self.params['k']}-th neighbours"), []
        for whose, found in (("", self.images), ("real ", self.reference)):
            if len(found) < n:
                return Value(name, None, len(self.images), reason=f"{len(found)} {whose}images, {n} needed"), []
        return Value(name, self._distance(name, self.images.first(n), self.reference.first(n), n), n), []

    def _distance(self, name: str, x: NDArray[np.float32], real: NDArray[np.float32], n: int) -> float:
        if name == "fid":
            is_unit = self.params["fid_on"] == "unit"
            a, b = (Moments.of(unit(found) if is_unit else found) for found in (x, real))
            return fid(a, b)
        if name == "kid":
            return kid(x, real)
        if n not in self.balls:
            self.balls[n] = neighbourhoods(x, real, k=self.params["k"])
        return float(getattr(self.balls[n], name))

    def _clip_score(self) -> tuple[Value, list[ClassRow]]:
        if self.text is None:
            raise ValueError("clip_score needs the features of the class names: input text")
        scores = self.cosine = clip_scores(self.images.features, self.text, self.images.labels)
        n, mean = len(scores), float(scores.mean())
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * float(scores.std(ddof=1)) / sqrt(n) if n > 1 else None
        ci = None if half is None else Interval(max(mean - half, 0.0), min(mean + half, 1.0), LEVEL, "normal")
        of_class = self._rows_of_class()
        rows = [(class_id, len(rows), float(scores[rows].mean()), "clip_score") for class_id, rows in of_class if rows]
        return Value("clip_score", mean, n, ci), rows

    def _vendi(self, n: int) -> tuple[Value, list[ClassRow]]:
        of_class = self._rows_of_class()
        poor = [(class_id, len(rows)) for class_id, rows in of_class if len(rows) < n]
        if poor:
            class_id, fewest = min(poor, key=lambda found: found[1])
            reason = f"{len(poor)} classes have fewer than {n} images: {class_id} has {fewest}"
            return Value("vendi", None, len(self.images), reason=reason), []
        rows = [(class_id, n, vendi(self.images.first(n, rows)), "vendi") for class_id, rows in of_class]
        return Value("vendi", float(np.mean([row[2] for row in rows])), n * len(rows)), rows

    def _rows_of_class(self) -> list[tuple[str, list[int]]]:
        found: list[list[int]] = [[] for _ in self.params["class_ids"]]
        for row, labels in enumerate(self.images.labels):
            for label in labels:
                found[label].append(row)
        return list(zip(self.params["class_ids"], found, strict=True))
