"""A training that several processes share, each with the whole model and a part of every batch.

``torchrun`` or ``accelerate launch`` starts the processes, perhaps on several machines; they meet through
torch.distributed, by gloo on CPUs and NCCL on GPUs, and `DistributedDataParallel` adds their gradients. The
batch of a step is that of a training in one process, and each part counts by its posts. So the gradient is
the same but for rounding, and for the losses of a fusion that are means over words or that compare posts of a
batch. After a step all processes hold the same weights, moments and averages. The first one alone scores,
tells and writes, and its checkpoint does not know how many processes there were. All read the same files.

One process needs none of this: every method of `Processes` then gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from twofold.errors import TrainingError

T = TypeVar("T")
_PATIENCE = timedelta(days=1)
"""So long the others wait for the first process, which scores and publishes. Where one dies, the launcher
ends them all at once."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Attributes:
        rank: number of this one, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that scores, tells and writes."""
        return self.rank == 0

    def share(self, batch: Sequence[T]) -> tuple[Sequence[T], float]:
        """This process's part of a batch, at least one example, and its weight: the mean over the processes
        of weight times mean loss of the part is the mean loss of the batch."""
        own = batch[self.rank :: self.count]
        return own or batch[:1], self.count * len(own) / len(batch)

    def replicated(self, loss: nn.Module) -> nn.Module:
        """A module whose gradients, after ``backward`` in all processes, are their mean in each."""
        if self.count == 1:
            return loss
        # A modality that no post of a part has leaves its weights without a gradient there.
        return DistributedDataParallel(loss, find_unused_parameters=True)

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.count

    def of_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them."""
        if self.count == 1:
            return make()
        made = [make() if self.first else None]
        distributed.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Until all processes are here."""
        self.mean(0.0)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The others enter when the first process has left: what it fetched and cached is there for them."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def seed(self, *numbers: int) -> None:
        """Random numbers of PyTorch that differ between processes, and are the same in every run."""
        if self.count > 1:
            words = np.random.SeedSequence((*numbers, self.rank)).generate_state(1, np.uint64)
            torch.manual_seed(int(words[0]) >> 1)


ALONE = Processes()


def rank_and_count() -> tuple[int, int]:
    """Of this process as the launcher says; 0 and 1 without one."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def joined() -> Iterator[Processes]:
    """Meet the other processes of a training, where a launcher started this one as one of several.

    Raises:
        TrainingError: another process ended before the training did.
    """
    if not distributed.is_available() or rank_and_count()[1] == 1:
        yield ALONE
        return
    ours = not distributed.is_initialized()
    if ours:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "another process of this training ended",
            where=f"process {distributed.get_rank()}",
            expected="all of them until the training ends",
            do="see what it said; the same command goes on from the last finished epoch",
        ) from error
    if ours:
        distributed.destroy_process_group()
