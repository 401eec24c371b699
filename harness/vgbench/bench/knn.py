"""``vgbench bench knn``: nearest neighbours by inverted lists against exact search, on clustered vectors.

Vectors without clusters have no neighbours to find (performance.md §4), so they are drawn as a corpus of captions
is: topics, themes within them, and about a hundred near things of each theme, all in 64 directions, and a little noise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from vgbench.bench.speed import Measured, interleaved, load, versions
from vgbench.neighbours import K, build, exact, recall, unit

DIMENSIONS, LATENT = 512, 64
TOPICS, NEAR = 100, 100  # of the corpus; things to each theme
SPREAD = (1.0, 0.5, 0.5)  # of topics, of themes about theirs, of things about theirs
NOISE = 0.02
N_QUERIES = 200
RECALL = 0.99
GOALS = {200_000: 20.0, 1_000_000: 40.0}


def clustered(n: int, *, seed: int) -> NDArray[np.float32]:
    """Return vectors (n, 512) float32 of length 1; the corpus' topics and themes are the same for every seed."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    n_themes = 2_000 if n < NEAR * 2_000 else n // NEAR
    topics = fixed.standard_normal((TOPICS, LATENT), dtype=np.float32) * SPREAD[0]
    themes = np.random.default_rng(1).standard_normal((n_themes, LATENT), dtype=np.float32) * SPREAD[1]
    themes += topics[np.arange(n_themes) % TOPICS]
    directions = fixed.standard_normal((LATENT, DIMENSIONS), dtype=np.float32) / np.float32(np.sqrt(DIMENSIONS))
    made = np.empty((n, DIMENSIONS), np.float32)
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        latent = themes[rng.integers(0, n_themes, size)]
        latent = latent + SPREAD[2] * rng.standard_normal((size, LATENT), dtype=np.float32)
        noise = NOISE * rng.standard_normal((size, DIMENSIONS), dtype=np.float32)
        made[start : start + size] = unit(latent @ directions + noise)
    return made


def measure(n: str = "200000", threads: str = "1") -> list[Measured]:
    """Search ``n`` vectors for the 10 nearest of 200 others, which the index was not tuned by.

    Exact search is ours, by matrix products: at one thread it was four times as fast here as faiss's flat index.
    """
    size = int(n)
    faiss.omp_set_num_threads(int(threads))
    began = load()
    drawn = clustered(size + N_QUERIES, seed=2)
    vectors, queries = drawn[:size], np.ascontiguousarray(drawn[size:])
    truth = exact(queries, vectors, K)[1]
    with tempfile.TemporaryDirectory() as folder:
        lists = build(Path(folder), vectors, "ivf-flat")
        medians = interleaved({"flat": lambda: exact(queries, vectors, K), "ivf": lambda: lists.search(queries, K)})
        reached = recall(lists.search(queries, K)[1], truth)
    return [
        Measured(
            f"knn/ivf-{size}",
            medians["flat"] / medians["ivf"],
            GOALS.get(size, 20.0),
            is_limit=False,
            n=7,
            medians=medians,
            threads={"flat": int(threads), "ivf": int(threads)},
            load=began,
            breaks=() if reached >= RECALL else (f"recall@{K} {reached:.4f} is below {RECALL}",),
            versions=versions("faiss-cpu", "numpy"),
            facts={"recall": reached, "nprobe": lists.nprobe, "lists": lists.n_lists, "recall as tuned": lists.recall},
        )
    ]
