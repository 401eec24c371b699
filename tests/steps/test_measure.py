"""measure, mts and the encoding of texts, as steps: what a score has, what is withheld, which images are taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from tests.metrics import plain

from vgbench.metrics.measures import MEASURES, MTS
from vgbench.results import metric_values
from vgbench.steps.measure import FeatureSet, measure
from vgbench.steps.similarity import mts
from vgbench.types import Artifact, Part, Place, Step

CLASSES = ["ant", "bee"]
ALL = {"fid": 20, "kid": 20, "precision": 20, "recall": 20, "density": 20, "coverage": 20, "vendi": 8}


def features(folder: Path, x: NDArray[Any], *, more: Mapping[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "features.npy", x.astype(np.float32))
    rows = {"image_id": [f"{folder.name}-{i:02d}" for i in range(len(x))], "label": [i % 2 for i in range(len(x))]}
    pq.write_table(pa.table({**rows, **(more or {})}), folder / "rows.parquet")
    return folder


def step(out: Path, inputs: Mapping[str, Path], params: Mapping[str, Any], network: object = None) -> Step:
    out.mkdir()
    return Step(
        node="0" * 64,
        params=params,
        inputs={name: Artifact("", (path,)) for name, path in inputs.items()},
        seed=None,
        shard=0,
        out=out,
        scratch=out,
        device="cpu",
        progress=lambda done, total: None,
        resident=lambda key, make: make(),
        load=lambda part: lambda values, weights, device: network,
    )


def measured(
    folder: Path, measures: Sequence[str], inputs: Mapping[str, Path], **params: object
) -> dict[str, dict[str, Any]]:
    given = {"class_ids": CLASSES, "measures": list(measures), "n": ALL, "k": 3, "fid_on": "unit", **params}
    measure(step(folder, inputs, given))
    found = json.loads((folder / "metrics.json").read_text())["metrics"]
    cells = metric_values(found, {name: MEASURES[name].metric for name in measures})
    assert [cell.main for cell in cells] == [i == 0 for i in range(len(measures))]
    return {value["metric"]: value for value in found}


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    random = np.random.RandomState(0)
    return {
        "images": features(tmp_path / "images", random.randn(20, 6)),
        "reference": features(tmp_path / "reference", random.randn(20, 6) + 0.3),
        "text": features(tmp_path / "text", random.randn(2, 6)),
    }


def arrays(sets: Mapping[str, Path]) -> tuple[list[list[float]], list[list[float]]]:
    x, real = (np.load(sets[name] / "features.npy").astype(float) for name in ("images", "reference"))
    return x.tolist(), real.tolist()


def test_every_measure_is_written_as_a_score(tmp_path: Path, sets: dict[str, Path]) -> None:
    found = measured(tmp_path / "out", list(MEASURES), sets)
    x, real = arrays(sets)
    ours = {name: value["value"] for name, value in found.items()}
    balls = plain.neighbourhoods(x, real, 3)
    assert {name: ours[name] for name in balls} == pytest.approx(balls)
    unit = [plain.unit(v) for v in x], [plain.unit(v) for v in real]
    assert ours["fid"] == pytest.approx(plain.fid(*unit), abs=1e-6)
    assert ours["kid"] == pytest.approx(plain.kid(x, real), abs=1e-6)
    assert found["clip_score"]["ci"]["lo"] < ours["clip_score"] < found["clip_score"]["ci"]["hi"]
    predictions = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    assert predictions["sample_id"] == sorted(predictions["sample_id"])
    assert ours["clip_score"] == pytest.approx(np.mean(predictions["cosine"]))
    rows = pq.read_table(tmp_path / "out" / "per_class.parquet").to_pylist()
    assert [(r["class_id"], r["n"], r["metric"]) for r in rows] == [
        *((c, 10, "clip_score") for c in CLASSES),
        *((c, 8, "vendi") for c in CLASSES),
    ]
    assert ours["vendi"] == pytest.approx(np.mean([r["value"] for r in rows if r["metric"] == "vendi"]))
    assert not (tmp_path / "out" / "items.parquet").exists()


def test_raw_features_give_another_frechet_distance(tmp_path: Path, sets: dict[str, Path]) -> None:
    inputs = {name: sets[name] for name in ("images", "reference")}
    found = measured(tmp_path / "out", ["fid"], inputs, fid_on="raw")
    assert found["fid"]["value"] == pytest.approx(plain.fid(*arrays(sets)), abs=1e-5)
    assert pq.read_table(tmp_path / "out" / "predictions.parquet")["cosine"].null_count == 20


def test_too_few_images_withhold_a_value_and_say_why(tmp_path: Path, sets: dict[str, Path]) -> None:
    found = measured(tmp_path / "out", ["clip_score", "fid", "vendi"], sets, n={"fid": 21, "vendi": 11})
    assert found["clip_score"]["value"] is not None
    assert found["fid"]["value"] is None and found["fid"]["reason"] == "20 images, 21 needed"
    assert found["vendi"]["reason"] == "2 classes have fewer than 11 images: ant has 10"
    sets["reference"] = features(tmp_path / "few", np.eye(3, 6))
    found = measured(tmp_path / "other", ["precision"], sets)
    assert found["precision"]["reason"] == "3 real images, 20 needed"


def test_the_images_taken_do_not_depend_on_their_order_and_fewer_nest_in_more(
    tmp_path: Path, sets: dict[str, Path]
) -> None:
    x = np.load(sets["images"] / "features.npy")
    ids = [f"images-{i:02d}" for i in range(20)]
    order = np.random.RandomState(1).permutation(20)
    more = {"image_id": [ids[i] for i in order], "label": [int(i) % 2 for i in order]}
    other = {**sets, "images": features(tmp_path / "shuffled", x[order], more=more)}
    n = dict.fromkeys(ALL, 7) | {"vendi": 4}
    here, there = (measured(tmp_path / name, list(MEASURES), given, n=n) for name, given in (("a", sets), ("b", other)))
    assert {k: v["value"] for k, v in here.items()} == pytest.approx({k: v["value"] for k, v in there.items()})
    assert here["kid"]["n"] == 7 and here["vendi"]["n"] == 8


def test_class_that_was_chosen_from_many_does_not_crowd_the_others_out(tmp_path: Path) -> None:
    """`select` keeps each class's lowest ids by SHA-256: those of a large class are lower than those of a small."""
    lowest = {
        name: sorted((f"{name}-{i}" for i in range(n)), key=lambda one: hashlib.sha256(one.encode()).digest())[:50]
        for name, n in (("ant", 2_000), ("bee", 60))
    }
    ids = [*lowest["ant"], *lowest["bee"]]
    x = np.repeat(np.eye(2, 6), 50, axis=0)
    folder = features(tmp_path / "skewed", x, more={"image_id": ids, "label": [0] * 50 + [1] * 50})
    taken = FeatureSet.open(Artifact("", (folder,))).first(50)
    assert 15 <= taken[:, 0].sum() <= 35


def test_image_of_several_classes_counts_for_each(tmp_path: Path, sets: dict[str, Path]) -> None:
    x, text = np.array([[1.0, 0], [0, 1]]), np.eye(2)
    images = features(tmp_path / "several", x, more={"labels": [[0], [0, 1]]})
    found = measured(tmp_path / "out", ["clip_score"], {"images": images, "text": features(tmp_path / "t", text)})
    assert found["clip_score"]["value"] == pytest.approx(0.75)
    rows = pq.read_table(tmp_path / "out" / "per_class.parquet").to_pylist()
    assert [(r["class_id"], r["n"], r["value"]) for r in rows] == [("ant", 2, 0.75), ("bee", 1, 0.5)]


@pytest.mark.parametrize(
    ("measures", "without", "what"),
    [
        (["fid"], "reference", "fid needs the features of real images"),
        (["clip_score"], "text", "needs the features of"),
    ],
)
def test_missing_input_is_named(
    tmp_path: Path, sets: dict[str, Path], measures: list[str], without: str, what: str
) -> None:
    del sets[without]
    with pytest.raises(ValueError, match=what):
        measured(tmp_path / "out", measures, sets)


def test_features_of_other_encoders_are_refused(tmp_path: Path, sets: dict[str, Path]) -> None:
    sets["text"] = features(tmp_path / "other", np.ones((2, 5)))
    with pytest.raises(ValueError, match="6 dimensions, those of text 5"):
        measured(tmp_path / "out", ["clip_score"], sets)


# ── Mean text similarity ─────────────────────────────────────────────────────────────────────────


def similar(folder: Path, prompts: Path, captions: Path, *, k: int, top: int) -> dict[str, Any]:
    mts(step(folder, {"prompts": prompts, "captions": captions}, {"class_ids": CLASSES, "k": k, "top": top}))
    (found,) = json.loads((folder / "metrics.json").read_text())["metrics"]
    metric_values([found], {"mts": MTS})
    return dict(found)


def test_mean_text_similarity_of_a_corpus(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    prompts, captions = (random.randn(n, 5).astype(np.float32) for n in (6, 30))
    images = [f"i{i % 20}" for i in range(30)]
    given = features(tmp_path / "p", prompts), features(tmp_path / "c", captions, more={"image_id": images})
    found = similar(tmp_path / "out", *given, k=10, top=4)
    each = [plain.mts(prompts[c::2].tolist(), captions.tolist(), images, 10, 4) for c in (0, 1)]
    assert found["value"] == pytest.approx(np.mean(each), abs=1e-6) and found["n"] == 30
    rows = pq.read_table(tmp_path / "out" / "per_class.parquet").to_pydict()
    assert rows["value"] == pytest.approx(each, abs=1e-6) and rows["n"] == [4, 4]
    hits = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    assert hits["class_id"] == ["ant"] * 4 + ["bee"] * 4 and set(hits["sample_id"]) <= set(images)
    assert similar(tmp_path / "few", *given, k=31, top=4)["reason"] == "30 captions, 31 needed"
    assert "2 classes hit fewer than 11 images" in similar(tmp_path / "narrow", *given, k=2, top=11)["reason"]


class Letters:
    """A text tower whose features count letters."""

    def texts(self, texts: list[str]) -> Any:
        import torch

        assert len(texts) == 2  # every batch has one shape
        return torch.tensor([[float(text.count(c)) for c in "abcdefghij"] for text in texts])


def encoded(folder: Path, body: str, params: Mapping[str, Any], network: object) -> Any:
    captions = pytest.importorskip("vgbench.steps.captions")
    encoder = {"encoder": Part("encoder", "letters", "1"), "weights": Place("sha", "w"), "batch": 2, "threads": 1}
    return getattr(captions, body)(step(folder, {}, {**encoder, **params}, network))


def test_prompts_are_encoded_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    prompts = Part("prompts", "p", "1", values={"templates": ["{}", "a {}", "bad {}"]})
    encoded(tmp_path / "out", "encode_prompts", {"names": CLASSES, "templates": prompts}, Letters())
    rows = pq.read_table(tmp_path / "out" / "rows.parquet").to_pydict()
    assert rows["text"] == ["ant", "a ant", "bad ant", "bee", "a bee", "bad bee"] and rows["label"] == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]
    assert np.load(tmp_path / "out" / "features.npy")[:, 0].tolist() == [1, 2, 2, 0, 1, 1]


@pytest.mark.parametrize("kind", ["txt", "parquet"])
def test_captions_come_from_lines_or_a_table(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("torch")
    path = tmp_path / f"c.{kind}"
    if kind == "txt":
        path.write_text("a bad bee\n\nan ant\na\n")
        ids = ["0", "2", "3"]
    else:
        pq.write_table(pa.table({"caption": ["a bad bee", None, "an ant", "a"], "image_id": [7, 8, 9, 9]}), path)
        ids = ["7", "9", "9"]
    made = encoded(tmp_path / "out", "encode_captions", {"captions": Place("sha", str(path))}, Letters())
    assert pq.read_table(tmp_path / "out" / "rows.parquet")["image_id"].to_pylist() == ids
    assert made.items == 3 and made.rejected == {"empty caption": 1}
    assert np.load(tmp_path / "out" / "features.npy")[:, 1].tolist() == [2, 0, 0]


def test_what_holds_no_captions_and_what_reads_none_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "empty.txt").write_text("\n\n")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "c.parquet")
    for i, (name, what) in enumerate(
        [
            ("empty.txt", "has no captions"),
            ("c.parquet", "no column `caption`; its columns: text"),
            ("c.csv", "neither"),
        ]
    ):
        params = {"captions": Place("sha", str(tmp_path / name))}
        with pytest.raises(ValueError, match=what):
            encoded(tmp_path / f"out{i}", "encode_captions", params, Letters())
    (tmp_path / "c.txt").write_text("a\n")
    with pytest.raises(ValueError, match="letters has no text tower"):
        encoded(tmp_path / "out", "encode_captions", {"captions": Place("sha", str(tmp_path / "c.txt"))}, object())
