"""The eigenbasis of a feature matrix: computed once, shared by every C, label vector and permutation of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]

# Of rotated features in float32: squares of gradients and weights stay in range (assumed).
SMALLEST, LARGEST = 1e-6, 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Centred features, rotated to the eigenvectors of their Gram matrix, with R = min(N, D) coordinates.

    There the curvature bound of the softmax loss is diagonal, which makes the solver's preconditioner a vector.
    The rotation is orthonormal and spans the row space, so objective and optimum are those of the features themselves
    (for N < D by the representer theorem); no small eigenvalue is cut off, so there is no rank threshold.

    ``mean`` (D,), ``rotation`` (D, R), ``design`` (N, R + 1): the rotated features and a column of ones for the
    intercept, ``curvature`` (R + 1,): the mean square of each column of ``design``. All float64 and read-only.
    ``single``: ``design`` in float32, None where the features are too large or small for their squares to fit.
    """

    mean: Floats
    rotation: Floats
    design: Floats
    curvature: Floats
    single: NDArray[np.float32] | None

    @classmethod
    def of(cls, features: NDArray[Any]) -> Basis:
        """Compute the basis of ``features`` (N, D), any real dtype, cast to float64.

        Costs one Gram matrix and one ``eigh`` of min(N, D). Raises ValueError for an empty matrix, another number of
        axes, a dtype that is not real, NaN or infinity, and values whose squares overflow float64.
        """
        x = checked_features(features)
        n, d = x.shape
        if n == 0 or d == 0:
            raise ValueError(f"features must have at least one row and one column, got shape {x.shape}")
        largest = float(np.abs(x).max())
        if largest > 1e140:  # its square, summed over rows and columns, must stay below 1.8e308
            raise ValueError(f"features must not exceed 1e140 in size, got {largest!r}")
        mean = x.mean(axis=0)
        centred = x - mean
        if d <= n:
            rotation = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
        else:
            # Dividing by the small singular values would lose orthogonality there (a Gram matrix knows them only to
            # sqrt(eps)); QR of the nearly orthogonal rows keeps it, and keeps the order, strongest first.
            vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1]
            rotation = np.linalg.qr(centred.T @ vectors)[0]
        design = np.empty((n, rotation.shape[1] + 1))
        np.matmul(centred, rotation, out=design[:, :-1])
        design[:, -1] = 1.0
        curvature = np.einsum("nr,nr->r", design, design) / n
        size = float(np.abs(design[:, :-1]).max())
        single = design.astype(np.float32) if SMALLEST < size < LARGEST else None
        rotation = np.ascontiguousarray(rotation)
        for array in (mean, rotation, design, curvature, single):
            if array is not None:
                array.flags.writeable = False
        return cls(mean, rotation, design, curvature, single)

    def design_in(self, dtype: DTypeLike) -> NDArray[np.floating[Any]]:
        """Return ``design`` in ``dtype``, float64 or, where ``single`` is there, float32."""
        return self.design if dtype == np.float64 or self.single is None else self.single

    @property
    def n_rows(self) -> int:
        """N, the number of rows that labels must have."""
        return len(self.design)

    @property
    def n_features(self) -> int:
        """D, the number of features before the rotation."""
        return len(self.mean)


def checked_features(features: NDArray[Any]) -> Floats:
    """Return ``features`` (N, D) as float64; raise ValueError naming the shape, dtype or value that is not allowed."""
    x = np.asarray(features)
    if x.ndim != 2:
        raise ValueError(f"features must be (N, D), got shape {x.shape}")
    if x.dtype.kind not in "fiu":
        raise ValueError(f"features must be real numbers, got dtype {x.dtype}")
    x = np.ascontiguousarray(x, dtype=np.float64)  # one memory order: the bytes of a result do not depend on it
    if not np.isfinite(x).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"features must be finite, got {float(x[row, column])} at row {row}, column {column}")
    return x
