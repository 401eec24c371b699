"""The solver: preconditioned L-BFGS in the eigenbasis, until the certified gap is small enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgbench.logreg.basis import Floats
from vgbench.logreg.lbfgs import Memory
from vgbench.logreg.linesearch import Landing, Ray, search
from vgbench.logreg.problem import Point, Problem

SMALLEST_SHARE = 1e-6  # of the objective: the least yardstick; tol = 1e-4 of it is well above rounding, 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Coefficients (K, R + 1) in the eigenbasis, the intercept last, and what is known about them."""

    coefficients: Floats
    objective: float
    gap: float
    iterations: int
    converged: bool


def minimise(problem: Problem, start: Floats | None, *, tol: float, max_iterations: int) -> Solution:
    """Minimise the objective from ``start`` (K, R + 1), or from the null model where that is better.

    Stops when the certified gap <= ``tol`` * ``_yardstick``, at ``max_iterations``, or when rounding leaves no
    descent; only the first converges. An iteration costs two products with the features, whatever the line search does.
    """
    null = problem.null_model()
    point = null
    if start is not None:
        started = problem.at(start)
        if started.objective < null.objective:
            point = started
    memory = Memory()
    lowest = 0.0  # a cross-entropy is not negative
    iterations = 0
    is_stuck = False
    while True:
        slopes = point.gradient[:, :-1]
        estimate = float(np.vdot(slopes, slopes)) / (2.0 * problem.penalty)  # the gap, were the intercept optimal
        is_last = is_stuck or iterations >= max_iterations
        if estimate <= tol * _yardstick(null, point) or is_last:
            point = problem.with_best_intercept(point)
            lowest = max(lowest, problem.lower_bound(point))
            gap = max(point.objective - lowest, 0.0)
            converged = gap <= tol * _yardstick(null, point)
            if converged or is_last:
                return Solution(point.coefficients, point.objective, gap, iterations, converged)
        step = _descend(problem, point, memory)
        if step is None:
            is_stuck = True
            continue
        direction, landing = step
        change = landing.t * direction
        reached = problem.point(point.coefficients + change, landing.logits, landing.softmax)
        memory.add(change, reached.gradient - point.gradient)
        point = reached
        iterations += 1


def _yardstick(null: Point, point: Point) -> float:
    """Return what a gap is compared with: the objective, or, if less, what the features explain of the null model's.

    Under strong regularisation nearly all of the objective is the null model's, and 1e-4 of it can be most of what the
    weights contribute: stopped there, 1.6 % of predictions differed from the optimum's (400 x 700, c = 0.01).
    """
    explained = null.objective - point.objective
    return max(min(point.objective, explained), SMALLEST_SHARE * point.objective)


def _descend(problem: Problem, point: Point, memory: Memory) -> tuple[Floats, Landing] | None:
    """Return a direction and where its search landed; forget the memory if it misleads; None if nothing descends."""
    # The intercept's curvature bound is c alone; the penalty is added to keep it positive when c vanishes.
    inverse = 1.0 / (point.softmax.spread() * problem.basis.curvature + problem.penalty)
    while True:
        direction = memory.direction(point.gradient, inverse)
        weighted = direction * problem.penalties
        ray = Ray(
            point.logits,
            direction @ problem.basis.design.T,
            problem.labels,
            constant=point.objective - point.softmax.loss,
            linear=float(np.vdot(point.coefficients - problem.prior, weighted)),
            quadratic=float(np.vdot(direction, weighted)),
        )
        landing = search(ray, point.softmax, first=1.0 if memory else None)
        if landing is not None:
            return direction, landing
        if not memory:
            return None
        memory.clear()
