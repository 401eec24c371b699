"""A certified lower bound on the optimum, from quantities that the solver has anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of a sum: allowance for float64 rounding, of the objective too. 1e-13 did not hold in 1 of 17,000 random problems,
# whose objectives were wrong by 1.3e-13; this is some ten times that.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class DualPoint:
    """A feasible point Q of the dual problem, kept as its mean ``entropy`` h (or less) and ``moment`` G (K, R).

    Claim: every W (K, R) and every intercept b (K,) have
    F(W, b) = mean cross-entropy + penalty/2 ||W - prior||^2  >=  ``value`` = h - <G, prior> - ||G||^2 / (2 penalty).

    Proof. Let the columns of Q (K, N) be distributions, its row means those of the one-hot Y, G = (Y - Q) Z / N.
    By Gibbs' inequality, logsumexp(z) >= <q, z> + entropy(q), so
    F(W, b) >= h + <Q - Y, W Z'> / N + penalty/2 ||W - prior||^2 (b drops out: equal row means)
    = h - <G, W> + penalty/2 ||W - prior||^2, whose minimum, at W = prior + G / penalty, is ``value``. QED

    For the softmax Q at an optimal intercept, F - ``value`` is exactly ||gradient_W||^2 / (2 penalty), the bound that
    strong convexity gives.
    """

    entropy: float
    moment: Floats

    @classmethod
    def of(cls, *, entropy: float, residual: Floats, target: Floats, frequencies: Floats) -> DualPoint:
        """Make a feasible point of the softmax P at any intercept, optimal or not.

        ``entropy``: mean entropy of P; ``residual`` (K, R + 1) = (P - Y) [Z, 1] / N, its last column r the excess of
        P's row means; ``target`` (K, R) = Y Z / N; ``frequencies`` (K,) > 0: the row means of Y.

        Q = (1 - e) P + e q 1' with q = frequencies - r (1 - e)/e has the right row means, and q >= 0 for the e chosen.
        Entropy is concave and >= 0, so (1 - e) entropy(P) is a lower bound; Z is centred, so q has no moment.
        This costs the bound something of order e: small, but only after the intercept was made optimal.
        """
        excess = max(float((residual[:, -1] / frequencies).max()), 0.0)
        e = excess / (1.0 + excess)
        return cls((1.0 - e) * entropy, e * target - (1.0 - e) * residual[:, :-1])

    def value(self, penalty: float, prior: Floats) -> float:
        """Return the lower bound on the optimum of the problem with this ``penalty`` > 0 and ``prior`` (K, R).

        Rounding is allowed for.
        """
        linear = float(np.vdot(self.moment, prior))
        quadratic = float(np.vdot(self.moment, self.moment)) / (2.0 * penalty)
        size = self.entropy + float(np.vdot(np.abs(self.moment), np.abs(prior))) + quadratic
        return self.entropy - linear - quadratic - ROUNDING * size - float(np.finfo(np.float64).eps)
