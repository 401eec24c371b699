"""Rankings and the measures of image sets again, in plain loops from their definitions: what ours are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Vector = Sequence[float]
Matrix = Sequence[Vector]


def devkit_ap(scores: Vector, truth: Sequence[bool]) -> float:
    """VOC2007's VOCevaldet/VOCevalcls: sort, accumulate, and the highest precision at each of 11 recalls or above."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits, curve = 0, []
    for rank, i in enumerate(order, 1):
        hits += truth[i]
        curve.append((Fraction(hits, sum(truth)), Fraction(hits, rank)))
    total = Fraction(0)
    for tenth in range(11):
        total += max(precision for recall, precision in curve if recall >= Fraction(tenth, 10))
    return float(total / 11)


def tied_ap(scores: Vector, truth: Sequence[bool], *, starts_at_one: bool = False) -> float:
    """The same by thresholds: everything at or above one is retrieved, so equal scores come together."""
    curve = []
    for threshold in sorted(set(scores), reverse=True):
        taken = [t for s, t in zip(scores, truth, strict=True) if s >= threshold]
        curve.append((Fraction(sum(taken), sum(truth)), Fraction(sum(taken), len(taken))))
    if starts_at_one:
        curve.append((Fraction(0), Fraction(1)))
    points = [max(p for r, p in curve if r >= Fraction(tenth, 10)) for tenth in range(11)]
    return float(sum(points) / 11)


def auc(scores: Vector, truth: Sequence[bool]) -> float:
    pairs = [
        (p, n) for p, t in zip(scores, truth, strict=True) if t for n, f in zip(scores, truth, strict=True) if not f
    ]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(a: Vector) -> list[float]:
    return [x / math.sqrt(dot(a, a)) for x in a]


def kid(xs: Matrix, ys: Matrix) -> float:
    def kernel(a: Vector, b: Vector) -> float:
        return (dot(a, b) / len(a) + 1) ** 3

    def own(zs: Matrix) -> float:
        m = len(zs)
        return math.fsum(kernel(zs[i], zs[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))

    cross = math.fsum(kernel(x, y) for x in xs for y in ys) / (len(xs) * len(ys))
    return own(xs) + own(ys) - 2 * cross


def fid(xs: Matrix, ys: Matrix) -> float:
    """Fréchet's distance with the trace of the square root from the eigenvalues of the product, as it is defined."""
    a, b = (np.cov(np.asarray(z), rowvar=False) for z in (xs, ys))
    gap = np.mean(xs, axis=0) - np.mean(ys, axis=0)
    roots = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real
    return float(gap @ gap + np.trace(a) + np.trace(b) - 2 * roots.sum())


def vendi(xs: Matrix) -> float:
    kernel = [[dot(unit(a), unit(b)) / len(xs) for b in xs] for a in xs]
    return math.exp(-sum(p * math.log(p) for p in np.linalg.eigvalsh(np.asarray(kernel)).tolist() if p > 1e-12))


def neighbourhoods(images: Matrix, reference: Matrix, k: int) -> dict[str, float]:
    xs, real = [unit(x) for x in images], [unit(x) for x in reference]

    def distance(a: Vector, b: Vector) -> float:
        return math.dist(a, b)

    def radius(i: int, zs: Matrix) -> float:
        return sorted(distance(zs[i], zs[j]) for j in range(len(zs)) if j != i)[k - 1]

    r_x, r_real = [radius(i, xs) for i in range(len(xs))], [radius(i, real) for i in range(len(real))]
    around = [sum(distance(x, real[j]) <= r_real[j] for j in range(len(real))) for x in xs]
    return {
        "precision": sum(n > 0 for n in around) / len(xs),
        "density": sum(around) / (k * len(xs)),
        "recall": sum(any(distance(y, xs[i]) <= r_x[i] for i in range(len(xs))) for y in real) / len(real),
        "coverage": sum(any(distance(x, real[j]) <= r_real[j] for x in xs) for j in range(len(real))) / len(real),
    }


def mts(prompts: Matrix, captions: Matrix, image_ids: Sequence[str], k: int, top: int) -> float:
    hits: dict[str, list[float]] = {}
    for prompt in prompts:
        near = sorted(((dot(unit(prompt), unit(c)), i) for i, c in enumerate(captions)), key=lambda s: (-s[0], s[1]))
        for similarity, i in near[:k]:
            hits.setdefault(image_ids[i], []).append(similarity)
    means = sorted((sum(found) / len(found) for found in hits.values()), reverse=True)[:top]
    return sum(means) / len(means)
