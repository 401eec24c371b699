"""When a training slows down and stops: torch's ReduceLROnPlateau on any sequence; patience counted from the best."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vgbench.steps.stopping import Rules, Watch

SHARES = st.integers(0, 40).map(lambda n: n / 40)  # few values: ties and plateaus are common


def followed(values: Sequence[float], rules: Rules, *, lr: float = 0.1) -> list[Watch]:
    watches = [Watch(lr)]
    for value in values:
        watches.append(watches[-1].seen(value, rules))
    return watches[1:]


@given(st.lists(SHARES, max_size=40), st.integers(0, 3), st.sampled_from([0.0, 1e-4, 0.1]))
def test_rate_is_that_of_torchs_scheduler(values: list[float], patience: int, threshold: float) -> None:
    rules = Rules(0.5, patience, 10**6, threshold)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = ReduceLROnPlateau(optimiser, mode="max", factor=0.5, patience=patience, threshold=threshold)
    for value, ours in zip(values, followed(values, rules), strict=True):
        theirs.step(value)
        if optimiser.param_groups[0]["lr"] < 1e-6:  # torch lowers a rate no further than by its eps, 1e-8
            break
        assert ours.lr == optimiser.param_groups[0]["lr"]
        assert ours.n_bad == theirs.num_bad_epochs and ours.best == theirs.best


def test_training_is_over_after_so_many_validations_without_improvement() -> None:
    rules = Rules(0.1, 1, 3, 0.0)
    values = [0.2, 0.5, 0.4, 0.5, 0.3, 0.1]  # an equal value is no improvement
    watches = followed(values, rules)
    assert [watch.is_over(rules) for watch in watches] == [False, False, False, False, True, True]
    assert [watch.lr for watch in watches[:4]] == [0.1, 0.1, 0.1, pytest.approx(0.01)]  # lowering does not reset it
    assert not followed([*values[:4], 0.6], rules)[-1].n_since_best


@given(st.lists(SHARES, max_size=20), st.integers(0, 20))
def test_watch_goes_on_from_its_record(values: list[float], at: int) -> None:
    rules = Rules(0.1, 2, 5, 1e-4)
    whole = followed(values, rules)
    watch = ([Watch(0.1), *whole])[: at + 1][-1]
    assert Watch(**json.loads(json.dumps(watch.record()))) == watch


@pytest.mark.parametrize("given_rules", [(1.0, 1, 1, 0.0), (0.0, 1, 1, 0.0), (0.1, -1, 1, 0.0), (0.1, 1, 0, 0.0)])
def test_rules_that_cannot_work_are_refused(given_rules: tuple[float, int, int, float]) -> None:
    with pytest.raises(ValueError, match=r"factor|patience"):
        Rules(*given_rules)
