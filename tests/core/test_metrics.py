"""Top-1 and mean per-class accuracy by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from vgbench.metrics.classify import top1
from vgbench.steps.score import aligned, item_values
from vgbench.types import Scored, Value

LABELS = {"sample_id": np.array(["a", "b", "c", "d"]), "class_id": np.array(["x", "x", "x", "y"])}


def test_top1_and_mean_per_class_by_hand() -> None:
    predictions = {"sample_id": LABELS["sample_id"], "prediction": np.array(["x", "x", "y", "na"])}
    scored = top1(predictions, LABELS, {})
    assert [(v.metric, v.value) for v in scored.metrics] == [("top1", 0.5), ("mean_per_class", pytest.approx(1 / 3))]
    assert scored.per_class == (("x", 3, pytest.approx(2 / 3)), ("y", 1, 0.0))
    assert scored.per_item == [1.0, 1.0, 0.0, 0.0]


def test_both_accuracies_equal_scikit_learns() -> None:
    random = np.random.RandomState(0)
    truth, said = random.choice(list("xyz"), 300, p=[0.7, 0.2, 0.1]), random.choice(list("xyz"), 300)
    found = {v.metric: v.value for v in top1({"prediction": said}, {"class_id": truth}, {}).metrics}
    assert found["top1"] == pytest.approx(accuracy_score(truth, said), abs=1e-12)
    assert found["mean_per_class"] == pytest.approx(balanced_accuracy_score(truth, said), abs=1e-12)


def test_alignment_is_by_sample_id_not_by_order() -> None:
    predictions = {"sample_id": np.array(["d", "a", "b", "c"]), "prediction": np.array(["y", "x", "x", "x"])}
    found, truth = aligned(predictions, LABELS)
    assert top1(found, truth, {}).metrics[0].value == 1.0


@pytest.mark.parametrize("ids", [["a", "b", "c"], ["a", "b", "c", "e"], ["a", "b", "c", "c"]])
def test_wrong_sample_ids_are_refused(ids: list[str]) -> None:
    with pytest.raises(ValueError, match=r"twice|differ"):
        aligned({"sample_id": np.array(ids), "prediction": np.array(["x"] * len(ids))}, LABELS)


def test_values_per_item_must_average_to_the_main_metric() -> None:
    right = (1.0, 0.0, 1.0, 1.0)
    values = item_values(Scored((Value("top1", 0.75, 4),), per_item=right), 4)
    assert values is not None and values.tolist() == list(right)
    assert item_values(Scored((Value("map", 0.5, 4),)), 4) is None
    for wrong, n in ((0.7, 4), (0.75, 5)):
        with pytest.raises(ValueError, match="do not average"):
            item_values(Scored((Value("top1", wrong, n),), per_item=right), n)
