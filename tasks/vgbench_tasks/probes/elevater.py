"""Probe ``elevater-reference``: ELEVATER's linear probe, as its code does it, every epoch of it reported.

Computer-Vision-in-the-Wild/Elevater_Toolkit_IC, evaluation/full_model_finetune.py with model/vitb32_CLIP.yaml, which
GenBench runs (protocols.md §1.6). It reports the best of 50 epochs *on the test set*: the score step calls that
``best_test_epoch``. Ours are: which fifth validates (by hash, not drawn), and no score for a trial that diverges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vgbench.metrics.multilabel import Ranked
from vgbench.metrics.ranking import area
from vgbench.steps.predict import torch_settings
from vgbench.steps.probe import Features, Labels, Lesson, Noted
from vgbench_tasks.probes.holdout import Holdout, at_most


@dataclass(frozen=True, slots=True)
class Setting:
    """What the sweep chooses: a constant learning rate and a weight decay, of weights and intercept alike."""

    lr: float
    weight_decay: float


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What an epoch leaves behind: a linear layer over features normalised by running means and variances."""

    mean: torch.Tensor
    variance: torch.Tensor
    eps: float
    weight: torch.Tensor
    bias: torch.Tensor

    def scores(self, x: torch.Tensor) -> NDArray[np.float32]:
        """Return the softmax (M, C) of the logits, which ELEVATER takes of several labels too (§1.1)."""
        normal = (x - self.mean) / torch.sqrt(self.variance + self.eps)
        found: NDArray[np.float32] = torch.softmax(normal @ self.weight.T + self.bias, dim=1).numpy()
        return found


def fit(lesson: Lesson, values: Mapping[str, Any]) -> Noted:
    """Sweep on validation images, train on all the source's images, and report every epoch: scores (1, E, M, C).

    Where a task sets ``tuned_per_class``, the sweep sees at most so many images of each class, a fifth held out.
    Single-threaded on the CPU, so the same seed gives the same bytes. Raises ``ValueError`` where no image can be held
    out: ELEVATER draws a second image of each class for that, which a source of one image does not have.
    """
    assert lesson.x is not None and lesson.text is not None
    most = values.get("tuned_per_class")  # not among the probe's own: results of other sets keep their keys
    holdout = Holdout.of(lesson if most is None else at_most(lesson, most))
    if not len(holdout.val_x):
        raise ValueError("elevater-reference needs two images of a class: it holds one out to choose by")
    generator = torch.Generator().manual_seed(lesson.seed)  # one stream through all trials, as with --fix_seed

    def epochs(x: Features, labels: Labels, setting: Setting, n: int) -> Iterator[Head]:
        return _epochs(x, labels, lesson.text, setting, values, n_epochs=n, generator=generator)

    def trial(setting: Setting) -> float:
        heads = epochs(holdout.x, holdout.labels, setting, values["sweep_epochs"])
        val_x = _tensor(holdout.val_x)
        return max(metric(values["metric"], head.scores(val_x), holdout.val_labels) for head in heads)

    with torch_settings(1, deterministic=True):
        chosen, score = sweep(values, trial)
        heads = list(epochs(lesson.x, lesson.labels[0], chosen, values["final_epochs"]))

    def predict(test_x: Features) -> NDArray[np.float32]:
        with torch_settings(1, deterministic=True):
            return np.stack([head.scores(_tensor(test_x)) for head in heads])[None]

    notes = {"lr": chosen.lr, "weight_decay": chosen.weight_decay, "validation_score": score}
    return Noted(predict, notes | {"chosen_on": len(holdout.val_x)})


def sweep(values: Mapping[str, Any], trial: Callable[[Setting], float]) -> tuple[Setting, float]:
    """Return the setting with the highest score, the first of equals; a score of 0 is none.

    For each learning rate: the coarse weight decays, then to both sides of the best so far at ever smaller spans. Both
    sides are those of the best as it was before the first of them was tried.
    """
    low, high = values["decay_log10"]
    decays = np.logspace(low, high, values["n_decays"]).tolist()
    best, best_score = Setting(0.0, 0.0), 0.0
    for lr in values["lrs"]:
        peak, peak_score = -1, 0.0
        for span in (None, *values["spans"]):
            if span is None:
                positions = list(range(0, len(decays), values["coarse_step"]))
            else:
                sides = (max(peak - span, 0), min(peak + span, len(decays) - 1))
                positions = [i for i in sides if i != peak]
            for i in positions:
                score = trial(Setting(lr, decays[i]))
                if score > peak_score:
                    peak, peak_score = i, score
        if peak_score > best_score:
            best, best_score = Setting(lr, decays[peak]), peak_score
    return best, best_score


def metric(name: str, scores: NDArray[np.float32], labels: Labels) -> float:
    """Return ELEVATER's metric ``name`` of scores (M, C), 0..1; 0 for scores that are not finite.

    With several labels the 11-point mean average precision, over the classes that the few validation images show.
    """
    if not np.isfinite(scores).all():
        return 0.0
    if labels.ndim == 2:
        once = np.ones((len(labels), 1), np.int32)
        shown = [(s, y) for s, y in zip(scores.T, labels.T, strict=True) if y.any()]
        return float(np.mean([Ranked.of(s, y).average_precision(once, "one")[0] for s, y in shown]))
    if name == "roc_auc":
        return area(scores[:, 1], labels == 1)[0] if 0 < labels.sum() < len(labels) else 0.0
    right = scores.argmax(axis=1) == labels
    if name == "accuracy":
        return float(right.mean())
    if name == "mean_per_class":
        return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))
    raise ValueError(f"metric {name!r}: it must be accuracy, mean_per_class or roc_auc")


def _epochs(
    x: Features,
    labels: Labels,
    text: Features | None,
    setting: Setting,
    values: Mapping[str, Any],
    *,
    n_epochs: int,
    generator: torch.Generator,
) -> Iterator[Head]:
    """Train a head that starts at the class texts with bias 0; yield it after each epoch."""
    inputs, weight = _tensor(x), _tensor(text)
    targets = torch.from_numpy(np.asarray(labels, dtype=np.float32 if labels.ndim == 2 else np.int64))
    loss: nn.Module = nn.BCEWithLogitsLoss() if labels.ndim == 2 else nn.CrossEntropyLoss()
    norm = nn.BatchNorm1d(inputs.shape[1], affine=False)
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.zero_()
    optimiser = torch.optim.SGD(
        linear.parameters(), lr=setting.lr, momentum=values["momentum"], weight_decay=setting.weight_decay
    )
    for _ in range(n_epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(order), values["batch"]):
            rows = order[start : start + values["batch"]]
            if len(rows) == 1:
                continue  # batch normalisation has no variance of one image: ELEVATER leaves it out
            optimiser.zero_grad()
            loss(linear(norm(inputs[rows])), targets[rows]).backward()
            optimiser.step()
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        yield Head(
            mean.clone(), variance.clone(), norm.eps, linear.weight.detach().clone(), linear.bias.detach().clone()
        )


def _tensor(x: NDArray[Any] | None) -> torch.Tensor:
    return torch.from_numpy(np.array(x, dtype=np.float32))  # a copy: features on disk are mapped read-only
