"""When a training that watches its validation goes on, slows down and stops: pure, and the same after a kill."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Rules:
    """How validation values, the higher the better, steer a training.

    ``factor`` of the learning rate after more than ``plateau_patience`` validations in a row that are no improvement;
    the training stops after ``stop_patience`` of them. A value improves when it lies above the best one times
    1 + ``threshold``: torch's ReduceLROnPlateau with mode ``max`` and threshold_mode ``rel``.
    """

    factor: float
    plateau_patience: int
    stop_patience: int
    threshold: float

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor is {self.factor}: a plateau must lower the learning rate")
        if self.plateau_patience < 0 or self.stop_patience < 1:
            raise ValueError(f"patience is {self.plateau_patience} and {self.stop_patience}: at least 0 and 1")


@dataclass(frozen=True, slots=True)
class Watch:
    """What has been seen: the rate ``lr`` of the next steps, and how long nothing has improved.

    ``best`` is the value that counts as the best (None: nothing seen), ``n_bad`` the validations without improvement
    since it or since the rate was lowered, ``n_since_best`` those since it.
    """

    lr: float
    best: float | None = None
    n_bad: int = 0
    n_since_best: int = 0

    def seen(self, value: float, rules: Rules) -> Watch:
        """Return the watch after one more validation."""
        if self.best is None or value > self.best * (1 + rules.threshold):
            return Watch(self.lr, value)
        n_bad, n_since_best = self.n_bad + 1, self.n_since_best + 1
        if n_bad > rules.plateau_patience:
            return replace(self, lr=self.lr * rules.factor, n_bad=0, n_since_best=n_since_best)
        return replace(self, n_bad=n_bad, n_since_best=n_since_best)

    def is_over(self, rules: Rules) -> bool:
        return self.n_since_best >= rules.stop_patience

    def record(self) -> dict[str, Any]:
        """Return it as JSON: ``Watch(**record)`` is the same again."""
        return asdict(self)
