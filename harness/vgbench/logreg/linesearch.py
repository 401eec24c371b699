"""The line search, on logits: trial steps cost no product with the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgbench.logreg.softmax import Reals, Softmax

FLATTER = 0.2  # accept where the slope has fallen to this share: 4-11 % fewer steps than 0.9 on digits and mixtures
ARMIJO = 1e-4  # and, past the minimum, where the decrease is this share of the linear one (Nocedal & Wright)
TRIALS = 40  # assumed: bisection alone reaches 1e-12 of the bracket


@dataclass(frozen=True, slots=True, eq=False)
class Ray:
    """The objective along one direction: relative ``logits`` and their change per unit step, both (K, N).

    The penalty adds ``linear`` * t + ``quadratic`` * t^2 / 2 to its value ``constant`` at t = 0.
    """

    logits: Reals
    change: Reals
    labels: NDArray[np.int64]
    constant: float
    linear: float
    quadratic: float

    def slope(self, at: Softmax, t: float) -> float:
        """Return the derivative at step ``t``, where the softmax is ``at``."""
        return at.slope(self.change) + self.linear + t * self.quadratic

    def newton(self, at: Softmax, t: float, slope: float) -> float:
        """Return the step to which Newton's method goes from ``t``; ``inf`` where the ray has no curvature left."""
        bend = at.bend(self.change) + self.quadratic
        return t - slope / bend if bend > 0.0 else float("inf")

    def penalty(self, t: float) -> float:
        """Return the penalty at step ``t``."""
        return self.constant + t * self.linear + 0.5 * t * t * self.quadratic


@dataclass(frozen=True, slots=True, eq=False)
class Landing:
    """Where a line search ended: the step ``t``, the logits (K, N) and their softmax."""

    t: float
    logits: Reals
    softmax: Softmax


def search(ray: Ray, start: Softmax, *, first: float | None) -> Landing | None:
    """Step along a descent direction until the slope is flat enough and the objective lower; None if nowhere.

    The objective is convex, so the sign of the slope brackets the minimum. ``first`` is the first trial step; None
    takes Newton's. ``start`` is the softmax at t = 0.
    """
    slope0 = ray.slope(start, 0.0)
    if not slope0 < 0.0:
        return None
    value0 = start.loss + ray.constant
    rounding = 4.0 * float(np.finfo(ray.logits.dtype).eps) * value0
    below, above = 0.0, float("inf")
    t = ray.newton(start, 0.0, slope0) if first is None else first
    for _ in range(TRIALS):
        if not np.isfinite(t):
            return None
        logits = t * ray.change
        logits += ray.logits
        softmax = Softmax.of(logits, ray.labels)
        slope = ray.slope(softmax, t)
        lower = slope <= 0.0 or softmax.loss + ray.penalty(t) <= value0 + ARMIJO * t * slope0 + rounding
        if abs(slope) <= FLATTER * abs(slope0) and lower:
            return Landing(t, logits, softmax)
        if slope < 0.0:
            below = t
        else:
            above = t
        t = min(ray.newton(softmax, t, slope), 10.0 * t)
        if not below < t < above:
            t = 0.5 * (below + above)
    return None
