"""The nearest of many vectors: exact search is right, indexes find what they say they find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vgbench.bench.knn import clustered
from vgbench.clusters import Clusters
from vgbench.neighbours import CODES, META_FILE, RECALL, Index, build, exact, recall, unit

N = 20_000


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(N + 100, seed=5)


def plain(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]


def test_exact_search_is_sorting_all(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgbench.neighbours.BLOCK", 777)
    queries = vectors[N:]
    similarities, rows = exact(queries, vectors[:N], 25)
    assert np.array_equal(rows, plain(queries, vectors[:N], 25))
    assert np.allclose(similarities, np.take_along_axis(queries @ vectors[:N].T, rows, 1), atol=1e-6)


def test_equal_vectors_stand_in_their_order_and_all_are_found() -> None:
    vectors = unit(np.repeat(np.eye(4, 8), 50, axis=0))
    similarities, rows = exact(vectors[:1], vectors, 60)
    assert rows[0, :50].tolist() == list(range(50)) and np.allclose(similarities[0, :50], 1)
    assert exact(vectors[:1], vectors, 500)[1].shape == (1, 200)  # no more than there are


@pytest.mark.parametrize("kind", ["flat", "ivf-flat", "ivf-pq"])
def test_an_index_finds_what_it_was_tuned_to_find(kind: str, vectors: np.ndarray, tmp_path: Path) -> None:
    made = build(tmp_path, vectors[:N] * 3, kind)  # type: ignore[arg-type]  # of any length
    found = Index.open(tmp_path)
    assert (found.kind, found.nprobe, found.recall) == (kind, made.nprobe, made.recall)
    queries = vectors[N:] * 7
    truth = plain(vectors[N:], vectors[:N], 10)
    similarities, rows = found.search(queries, 10)
    assert recall(rows, truth) >= (1.0 if kind == "flat" else 0.98)
    true = np.take_along_axis(unit(queries) @ unit(vectors[:N]).T, rows, 1)
    assert np.allclose(similarities, true, atol=1e-5)  # cosines, product codes or not
    assert found.recall >= RECALL or found.nprobe == found.n_lists
    meta = json.loads((tmp_path / META_FILE).read_text())
    assert (meta["n"], meta["dimensions"]) == (N, 512)


@pytest.mark.parametrize("kind", ["ivf-flat", "ivf-pq"])
def test_many_neighbours_are_found_too(kind: str, vectors: np.ndarray, tmp_path: Path) -> None:
    """Lists that hold the ten nearest need not hold five hundred."""
    found = build(tmp_path, vectors[:N], kind)  # type: ignore[arg-type]  # a parameter
    rows = found.search(vectors[N : N + 20], 500)[1]
    assert rows.min() >= 0 and recall(rows, plain(vectors[N : N + 20], vectors[:N], 500)) >= 0.9


def test_two_levels_choose_the_lists_that_comparing_with_all_chooses(vectors: np.ndarray) -> None:
    clusters = Clusters.of(vectors[:N], 900)
    queries = vectors[N:]
    similarities, numbers = clusters.search(queries, 12)
    true = exact(queries, clusters.centres, 12)
    assert recall(numbers, true[1]) >= 0.99
    assert np.allclose(similarities, np.take_along_axis(queries @ clusters.centres.T, numbers, 1), atol=1e-5)
    every = clusters.search(queries, 900)
    assert np.array_equal(np.sort(every[1], axis=1), np.broadcast_to(np.arange(900), (len(queries), 900)))
    assert (np.diff(every[0], axis=1) <= 0).all()


def test_where_the_few_have_too_few_there_is_none(vectors: np.ndarray) -> None:
    """One of the few may have a single centre: what is missing is -1, which faiss passes over."""
    few = unit(np.eye(64, 512))
    sizes = np.array([1] * 63 + [300])
    clusters = Clusters(few, sizes, unit(np.concatenate([few[:63], np.repeat(few[63:], 300, axis=0)])))
    similarities, numbers = clusters.search(few[:1], 40)
    assert numbers[0, 0] == 0 and (numbers[np.isneginf(similarities)] == -1).all() and (numbers >= -1).all()


def test_tuning_notices_lists_that_split_neighbours(tmp_path: Path) -> None:
    """Vectors without clusters have their neighbours in other lists: one probed list is not enough."""
    vectors = np.random.default_rng(0).standard_normal((4_000, 32)).astype(np.float32)
    found = build(tmp_path, vectors, "ivf-flat")
    one = recall(found.search(vectors[:200], 10, nprobe=1)[1], exact(unit(vectors[:200]), unit(vectors), 10)[1])
    assert one < 0.8 and found.nprobe > 8 and found.recall >= RECALL


def test_the_same_vectors_give_the_same_index(vectors: np.ndarray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        build(tmp_path / name, vectors[:3_000], "ivf-flat")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("n", [CODES, CODES + 1, 279, 280])
def test_codes_are_made_of_the_fewest_vectors_that_suffice(n: int, vectors: np.ndarray, tmp_path: Path) -> None:
    """Those of whole lists alone would be fewer than the codes that faiss looks for among them."""
    found = build(tmp_path, vectors[:n], "ivf-pq")
    assert recall(found.search(vectors[N:], 10)[1], plain(vectors[N:], vectors[:n], 10)) >= 0.9


def test_auto_goes_by_size(tmp_path: Path) -> None:
    assert build(tmp_path, np.eye(5, 8), "auto").kind == "flat"


def test_vectors_without_a_direction_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no direction"):
        build(tmp_path, np.zeros((3, 4)), "flat")
    with pytest.raises(ValueError, match="has no direction"):
        build(tmp_path, np.full((3, 4), np.nan), "flat")
    with pytest.raises(ValueError, match="makes codes of 256 vectors or more, and there are 4"):
        build(tmp_path, np.eye(4), "ivf-pq")
    with pytest.raises(ValueError, match="nothing to index"):
        build(tmp_path, np.empty((0, 4)), "flat")
    with pytest.raises(ValueError, match="has no direction"):
        build(tmp_path, np.eye(4), "flat").search(np.zeros((1, 4)), 1)
