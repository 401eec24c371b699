"""Clusters in two levels: as many as asked for, found again by nearly every vector, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.bench.knn import clustered
from vgbench.clusters import Clusters, kmeans
from vgbench.neighbours import unit


def test_a_vector_gets_its_nearest_centre_nearly_always() -> None:
    vectors = clustered(6_000, seed=3)
    found = Clusters.of(vectors, 300)
    assert found.centres.shape == (300, vectors.shape[1])
    assert found.sizes.shape == (len(found.few),) and found.sizes.min() >= 0 and found.sizes.sum() == 300
    np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-5)
    similarities = vectors @ found.centres.T
    best, nearest = similarities.argmax(axis=1), found.nearest(vectors)
    assert (best == nearest).mean() > 0.97
    assert (similarities.max(axis=1) - similarities[np.arange(len(vectors)), nearest]).mean() < 1e-3


def test_clusters_are_tighter_than_a_draw_of_as_many() -> None:
    vectors = clustered(4_000, seed=4)
    drawn = vectors[np.random.default_rng(1).choice(len(vectors), 200, replace=False)]
    found = Clusters.of(vectors, 200).centres
    assert (vectors @ found.T).max(axis=1).mean() > (vectors @ drawn.T).max(axis=1).mean() + 0.02


def test_equal_vectors_give_equal_bytes() -> None:
    vectors = clustered(2_000, seed=5)
    one, other = Clusters.of(vectors, 64), Clusters.of(vectors.copy(), 64)
    assert one.centres.tobytes() == other.centres.tobytes()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), clusters=st.integers(1, 60), different=st.integers(1, 60))
def test_few_vectors_and_copies_of_one_are_clustered_too(n: int, clusters: int, different: int) -> None:
    rng = np.random.default_rng([n, clusters, different])
    vectors = unit(rng.standard_normal((different, 8))[rng.integers(0, different, n)])
    found = Clusters.of(vectors, min(clusters, n))
    assert found.centres.shape == (min(clusters, n), 8) and np.isfinite(found.centres).all()
    nearest = found.nearest(vectors)
    assert nearest.shape == (n,) and nearest.min() >= 0 and nearest.max() < len(found.centres)


@pytest.mark.parametrize("n", [1, 7])
def test_as_many_clusters_as_vectors_are_the_vectors(n: int) -> None:
    vectors = unit(np.random.default_rng(n).standard_normal((n, 5)))
    np.testing.assert_allclose(np.sort(kmeans(vectors, n), axis=0), np.sort(vectors, axis=0), atol=1e-6)
