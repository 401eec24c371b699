"""Several processes that train one network: who computes which micro-batches, how gradients meet, who starts them.

The number of processes is not in a node's key. What is, the micro-batch, is what they share out: each is the same
samples with the same draws whoever computes it, so that more processes change nothing but the order of sums, and the
running statistics of batch norms, which are averaged over processes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import start_processes

from vgbench.types import Made, Step

T = TypeVar("T")
MEETING_FILE = "meeting"
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ranks:
    """One of ``world`` processes, ``rank``, counted from 0."""

    rank: int = 0
    world: int = 1

    def share(self, n_micro_batches: int) -> range:
        """Return the micro-batches of a step that are this process's, a run of them.

        Raises:
            ValueError: they cannot be shared out evenly.
        """
        if n_micro_batches % self.world:
            raise ValueError(
                f"{n_micro_batches} micro-batches a step cannot be shared out evenly over {self.world} devices"
            )
        each = n_micro_batches // self.world
        return range(self.rank * each, (self.rank + 1) * each)

    def first(self, make: Callable[[], T]) -> T:
        """Make something that all need, such as a file: rank 0 first, the others once it is there."""
        if self.world == 1:
            return make()
        made = make() if self.rank == 0 else None
        distributed.barrier()
        return make() if made is None else made

    def add_up(self, model: nn.Module, loss: Tensor) -> None:
        """Sum gradients and ``loss`` over the processes, and average what batch norms have seen, all in place."""
        if self.world == 1:
            return
        summed = [loss, *(p.grad for p in model.parameters() if p.grad is not None)]
        averaged = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        flat = torch.cat([tensor.reshape(-1).float() for tensor in summed + [b / self.world for b in averaged]])
        distributed.all_reduce(flat)
        sizes = [tensor.numel() for tensor in summed + averaged]
        for tensor, found in zip(summed + averaged, torch.split(flat, sizes), strict=True):
            tensor.copy_(found.view(tensor.shape))


def together(step: Step, body: Callable[[Step, Ranks], Made]) -> Made:
    """Run ``body`` in ``step.devices`` processes, and return what rank 0's makes; only that one may write.

    ``body`` is a function of a module. Each process has the step, its own device in place of ``step.device``, and a
    group of all (NCCL on GPUs, gloo on CPUs). When one fails the others are ended; they end with this process too.
    """
    meeting = step.scratch / MEETING_FILE
    meeting.unlink(missing_ok=True)  # a killed run's
    told = {f.name: value for f in fields(step) if not callable(value := getattr(step, f.name))}
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    running = start_processes(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        _rank, (body, told, meeting, sender), nprocs=step.devices, join=False, start_method="spawn"
    )
    sender.close()
    made: Made | None = None
    is_done = False
    while not is_done:
        is_done = running.join(timeout=POLL_SECONDS)  # raises what a process failed of
        while receiver.poll():
            try:
                said = receiver.recv()
            except EOFError:
                break
            if isinstance(said, Made):
                made = said
            else:
                step.progress(*said)
    meeting.unlink(missing_ok=True)
    if made is None:
        raise RuntimeError("the processes ended without a result")
    return made


def _rank(
    rank: int, body: Callable[[Step, Ranks], Made], told: dict[str, Any], meeting: Path, sender: connection.Connection
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    world = told["devices"]
    is_cuda = told["device"] == "cuda"
    if is_cuda:
        torch.cuda.set_device(rank)
        told["device"] = f"cuda:{rank}"

    def progress(done: int, total: int) -> None:
        if rank == 0:
            sender.send((done, total))

    def load(part: object) -> Callable[..., Any]:
        raise NotImplementedError("a part's entry is not loaded in one of several processes")

    distributed.init_process_group(
        "nccl" if is_cuda else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=world,
        timeout=timedelta(days=1),  # the first writes the whole training copy while the others wait
    )
    try:
        made = body(Step(**told, progress=progress, resident=lambda key, make: make(), load=load), Ranks(rank, world))
    finally:
        distributed.destroy_process_group()
    if rank == 0:
        sender.send(made)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
