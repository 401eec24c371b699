"""A training run that can be stopped at any time and go on: its state on disk, its learning rate, its log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STATE_FILE, LOG_FILE = "state.safetensors", "training.json"
SAVE_SECONDS = 240.0  # ours, as the next two
COOLDOWN = 0.2  # of the steps, at the end: the learning rate goes to 0 in a straight line
WARMUP = 100  # steps


@dataclass(slots=True)
class Run:
    """The state of one training: ``model`` trained by ``optimiser``, a running mean ``averaged`` of its weights.

    What of the model wants no gradient stays as it is.

    The rate is constant until the last fifth of the steps, so a run can be made longer before that: the same command
    with more ``steps`` goes on. ``pieces`` says of each start which recipe it had, ``log`` how it went.
    """

    folder: Path
    model: nn.Module
    optimiser: torch.optim.AdamW
    averaged: dict[str, Tensor]
    decay: float
    step: int = 0
    seconds: float = 0.0
    pieces: list[Mapping[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls, folder: Path, model: nn.Module, recipe: Mapping[str, Any], *, lr: float, weight_decay: float, decay: float
    ) -> Run:
        """Start a run in ``folder``, or go on with the one whose state lies there."""
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim > 1]
        others = [p for p in trained if p.ndim <= 1]
        optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=lr,
            betas=(0.9, 0.99),
            fused=True,
        )
        run = cls(folder, model, optimiser, {k: v.detach().clone() for k, v in model.state_dict().items()}, decay)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / STATE_FILE).exists():
            run._restore()
        run.pieces.append({"from_step": run.step, **recipe})
        return run

    def steps(self, n: int, *, minutes: float | None = None, most: int | None = None) -> Iterator[int]:
        """Yield the numbers of the steps still to do of ``n``, the rate set for each.

        Stops after some minutes, or the ``most`` steps of this piece. The state is saved every four minutes and at
        the end.
        """
        last = n if most is None else min(n, self.step + most)
        began = saved = time.monotonic()
        peaks = [group.setdefault("peak", group["lr"]) for group in self.optimiser.param_groups]
        while self.step < last and (minutes is None or time.monotonic() - began < 60 * minutes):
            rate = min(1.0, (self.step + 1) / WARMUP, (n - self.step) / max(COOLDOWN * n, 1))
            for group, peak in zip(self.optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate
            yield self.step
            self.step += 1
            if time.monotonic() - saved > SAVE_SECONDS:
                saved = time.monotonic()
                self._save(self.seconds + saved - began)
        self.seconds += time.monotonic() - began
        self._save(self.seconds)

    def descend(self, loss: Tensor) -> None:
        """Take one optimisation step, the gradient clipped to length 1, and average the weights."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.averaged[name].lerp_(value, 1 - decay)
                else:
                    self.averaged[name].copy_(value)

    def say(self, text: str) -> None:
        """Log a line."""
        self.log.append(f"step {self.step + 1}: {text}")
        print(self.log[-1], flush=True)  # noqa: T201

    def _save(self, seconds: float) -> None:
        named = dict(self.model.named_parameters())
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.items()}
        for name, p in named.items():
            for key, value in self.optimiser.state.get(p, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value
        unfinished = self.folder / f".{STATE_FILE}"
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, unfinished, {"step": str(self.step)})
        unfinished.replace(self.folder / STATE_FILE)
        record = {"step": self.step, "seconds": round(seconds), "pieces": self.pieces, "log": self.log}
        unfinished = self.folder / f".{LOG_FILE}"
        unfinished.write_text(json.dumps(record, indent=1) + "\n")
        unfinished.replace(self.folder / LOG_FILE)

    def _restore(self) -> None:
        tensors = load_file(self.folder / STATE_FILE)
        with safe_open(self.folder / STATE_FILE, "pt") as file:  # stopped between the two files, the log lags behind
            self.step = int(file.metadata()["step"])
        record = json.loads((self.folder / LOG_FILE).read_text())
        self.seconds = record["seconds"]
        self.pieces, self.log = record["pieces"], record["log"]
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.averaged = {k[9:]: v for k, v in tensors.items() if k.startswith("averaged.")}
        for name, p in self.model.named_parameters():
            if p.requires_grad:
                self.optimiser.state[p] = {
                    key: tensors[f"optimiser.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                }
