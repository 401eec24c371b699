"""The solver: preconditioned L-BFGS in the eigenbasis, until the certified gap is small enough.

It works in float32, where a product with the features costs half, and takes float64 only where float32 gets no further
or ``tol`` asks for more. What it says about the result is computed in float64 whatever it worked in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vgbench.logreg.lbfgs import Memory
from vgbench.logreg.linesearch import Ray, search
from vgbench.logreg.problem import Point, Problem
from vgbench.logreg.softmax import Reals

SMALLEST_SHARE = 1e-6  # of the objective: the least yardstick; tol = 1e-4 of it is well above rounding, 1e-13
SMALLEST_NATS = 1e-6  # as the least yardstick: no prediction depends on losses below (a good prior leaves 1e-12)
SINGLE_TOL = 1e-6  # float32 is asked for no more; on mixtures it reaches 1e-7
PATIENCE = 20  # iterations of float32 without a lower estimate before float64 takes over (assumed)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The point reached, in float64, and what is known about it."""

    point: Point
    objective: float
    gap: float
    iterations: int
    converged: bool


def minimise(
    problem: Problem, start: Point, *, before: Point | None, null: float, tol: float, max_iterations: int
) -> Solution:
    """Minimise the objective from ``start`` (float64).

    ``before``: the optimum at a stronger penalty than that of ``start``; the optimum now lies further along.
    ``null``: the objective of the null model. Stops when the certified gap <= ``tol`` * ``_yardstick``, at
    ``max_iterations``, or when rounding leaves no descent; only the first converges. An iteration costs two products
    with the features, whatever the line search does.
    """
    descent = Descent(problem, start, is_single=problem.basis.single is not None)
    if before is not None:
        descent.predict(before)
    lowest = 0.0  # a cross-entropy is not negative
    target = max(tol, SINGLE_TOL) if descent.is_single else tol
    while True:
        is_last = descent.iterations >= max_iterations or (descent.is_stuck and not descent.is_single)
        if descent.estimate() <= target * _yardstick(null, descent.objective()) or descent.is_stuck or is_last:
            point = descent.finished()
            objective = problem.objective(point)
            lowest = max(lowest, problem.lower_bound(point))
            gap = max(objective - lowest, 0.0)
            converged = gap <= tol * _yardstick(null, objective)
            if converged or is_last:
                return Solution(point, objective, gap, descent.iterations, converged)
            target = 0.5 * min(target, tol)
            descent.resume(point, is_single=descent.is_single and not descent.is_stuck and target > SINGLE_TOL)
        descent.step()


def _yardstick(null: float, objective: float) -> float:
    """Return what a gap is compared with: the objective, or, if less, what the features explain of the null model's.

    Under strong regularisation nearly all of the objective is the null model's, and 1e-4 of it can be most of what the
    weights contribute: stopped there, 1.6 % of predictions differed from the optimum's (400 x 700, c = 0.01).
    """
    return max(min(objective, null - objective), SMALLEST_SHARE * objective, SMALLEST_NATS)


class Descent:
    """L-BFGS under way, in float32 or float64."""

    def __init__(self, problem: Problem, start: Point, *, is_single: bool) -> None:
        self._problem = problem
        self._memory = Memory()
        self.iterations = 0
        self.resume(start, is_single=is_single)

    def resume(self, point: Point, *, is_single: bool) -> None:
        """Go on from ``point``, with what was learnt about the curvature."""
        self.is_single = is_single
        self.is_stuck = False
        self._given: Point | None = point
        self._point = point.astype(np.float32 if is_single else np.float64)
        self._gradient = self._problem.gradient(self._point)
        self._best = np.inf
        self._idle = 0

    def objective(self) -> float:
        """Return the objective, as well as the precision knows it."""
        return self._problem.objective(self._point)

    def estimate(self) -> float:
        """Return what the gap would be, were the intercept optimal."""
        slopes = self._gradient[:, :-1]
        return float(np.vdot(slopes, slopes)) / (2.0 * self._problem.penalty)

    def finished(self) -> Point:
        """Return the point with the best intercept, evaluated in float64."""
        if self._given is not None:  # no step was taken since
            return self._problem.with_best_intercept(self._given)
        point = self._problem.with_best_intercept(self._point)
        coefficients = point.coefficients.astype(np.float64)
        coefficients -= coefficients.mean(axis=0)  # 0 but for rounding: no prediction needs what all classes share
        return self._problem.at(coefficients) if self.is_single else replace(point, coefficients=coefficients)

    def predict(self, before: Point) -> None:
        """Step on in the direction from ``before``: the optimum moves almost straight in log(penalty)."""
        earlier = before.astype(self._point.logits.dtype)
        direction = self._point.coefficients - earlier.coefficients
        self._search(direction, self._point.logits - earlier.logits, first=1.0)

    def step(self) -> None:
        """Take one step of L-BFGS; forget the memory if it misleads; be stuck if nothing descends."""
        problem = self._problem
        # The intercept's curvature bound is c alone; the penalty is added to keep it positive when c vanishes.
        inverse = 1.0 / (self._point.softmax.spread(problem.labels) * problem.basis.curvature + problem.penalty)
        inverse = inverse.astype(self._gradient.dtype)
        while True:
            direction = self._memory.direction(self._gradient, inverse)
            if self._search(direction, problem.logits(direction), first=1.0 if self._memory else None):
                break
            if not self._memory:
                self.is_stuck = True
                return
            self._memory.clear()
        self.iterations += 1
        estimate = self.estimate()
        self._idle = 0 if estimate < self._best else self._idle + 1
        self._best = min(self._best, estimate)
        self.is_stuck = self.is_single and self._idle >= PATIENCE

    def _search(self, direction: Reals, change: Reals, *, first: float | None) -> bool:
        """Go where the line search lands along ``direction`` (K, R + 1), which changes the logits by ``change``."""
        problem, point = self._problem, self._point
        weighted = problem.penalty * direction
        weighted[:, -1] = 0.0
        ray = Ray(
            point.logits,
            change,
            problem.labels,
            constant=self.objective() - point.softmax.loss,
            linear=float(np.vdot(direction, problem.penalised(point.coefficients))),
            quadratic=float(np.vdot(direction, weighted)),
        )
        landing = search(ray, point.softmax, first=first)
        if landing is None:
            return False
        change_of_point = landing.t * direction
        reached = problem.point(point.coefficients + change_of_point, landing.logits, landing.softmax)
        gradient = problem.gradient(reached)
        self._memory.add(change_of_point, gradient - self._gradient)
        self._point, self._gradient, self._given = reached, gradient, None
        return True
