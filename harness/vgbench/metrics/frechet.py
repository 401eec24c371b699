"""Distances between two sets of features: Fréchet (FID) and kernel (KID). See docs/quality.md for what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 1024  # rows of a kernel matrix held at a time


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean (D,) and unbiased covariance (D, D) of ``n`` features, float64."""

    n: int
    mean: NDArray[np.float64]
    cov: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[Any]) -> Moments:
        """Take the moments of features (N, D), N ≥ 2, in two passes over blocks: no copy of the whole in float64."""
        n = len(features)
        if n < 2:
            raise ValueError(f"a covariance needs at least 2 features, not {n}")
        blocks = range(0, n, ROWS)
        mean = np.sum([np.asarray(features[i : i + ROWS], np.float64).sum(axis=0) for i in blocks], axis=0) / n
        scatter = np.zeros((len(mean), len(mean)))
        for i in blocks:
            centred = np.asarray(features[i : i + ROWS], np.float64) - mean
            scatter += centred.T @ centred
        return cls(n, mean, scatter / (n - 1))


def fid(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance of two Gaussians: |μa − μb|² + tr(A + B − 2 (A B)^½), ≥ 0.

    The last trace is the nuclear norm of A^½ B^½, the same number without the square root of a product whose small
    eigenvalues are rounding (which costs 1e-5 where N < D, and may turn complex). Source: Heusel et al., *GANs
    Trained by a Two Time-Scale Update Rule*, NeurIPS 2017, eq. 6; Dowson & Landau, J. Multivariate Analysis 12 (1982).
    """
    shared = np.linalg.svd(_root(a.cov) @ _root(b.cov), compute_uv=False).sum()
    gap = a.mean - b.mean
    return max(0.0, float(gap @ gap + np.trace(a.cov) + np.trace(b.cov) - 2 * shared))


def _root(cov: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(cov)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def kid(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the unbiased squared MMD of features (M, D) and (N, D), M and N ≥ 2; below 0 by chance for equal sets.

    Kernel (x·y / D + 1)³, over all pairs at once: not the mean over random subsets of 1,000 that is customary, which
    estimates the same with more scatter and needs a seed. Time grows with (M + N)² D, memory with 1,024 rows.
    Source: Bińkowski, Sutherland, Arbel & Gretton, *Demystifying MMD GANs*, ICLR 2018, eq. 4 and §4.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"an unbiased distance needs at least 2 features of each set, not {len(x)} and {len(y)}")
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    own = [(_kernel_sum(z, z) - float((_kernel((z * z).sum(axis=1), z.shape[1])).sum())) for z in (x, y)]
    m, n = len(x), len(y)
    return own[0] / (m * (m - 1)) + own[1] / (n * (n - 1)) - 2 * _kernel_sum(x, y) / (m * n)


def _kernel_sum(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return sum(float(_kernel(x[i : i + ROWS] @ y.T, x.shape[1]).sum()) for i in range(0, len(x), ROWS))


def _kernel(products: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    return np.asarray((products / dimensions + 1) ** 3)
