"""The L-BFGS direction with a diagonal initial inverse Hessian (Nocedal & Wright, Numerical Optimization, alg. 7.4)."""

from __future__ import annotations

from collections import deque

import numpy as np

from vgbench.logreg.softmax import Reals

MEMORY = 8  # pairs kept (performance.md §1)


class Memory:
    """The last eight (step, gradient change) pairs, arrays of one shape."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[Reals, Reals, float]] = deque(maxlen=MEMORY)

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, step: Reals, change: Reals) -> None:
        """Remember a pair, unless rounding has hidden its curvature (which is positive in a convex problem)."""
        curvature = float(np.vdot(step, change))
        if curvature > 1e-15 * float(np.sqrt(np.vdot(step, step) * np.vdot(change, change))):
            self._pairs.append((step, change, curvature))

    def clear(self) -> None:
        """Forget all pairs."""
        self._pairs.clear()

    def direction(self, gradient: Reals, inverse: Reals) -> Reals:
        """Return the descent direction at ``gradient`` (K, R + 1), from the diagonal ``inverse`` (R + 1,) > 0.

        The diagonal is scaled to the newest pair (their eq. 7.20, in the metric of the diagonal).
        """
        rest = gradient.copy()
        shares = []
        for step, change, curvature in reversed(self._pairs):
            share = float(np.vdot(step, rest)) / curvature
            rest -= share * change
            shares.append(share)
        rest *= inverse
        if self._pairs:
            _, change, curvature = self._pairs[-1]
            rest *= curvature / float(np.vdot(change, change * inverse))
        for (step, change, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            rest += (share - float(np.vdot(change, rest)) / curvature) * step
        return -rest
