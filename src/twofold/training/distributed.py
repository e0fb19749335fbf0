"""Data-parallel training in several processes, each with the whole model and a part of every batch.

``torchrun`` or ``accelerate launch`` starts the processes, on one or several machines. They communicate
through torch.distributed (gloo on CPUs, NCCL on GPUs), and `DistributedDataParallel` averages their
gradients. The batch of a step is the same as in a training with one process, and each part is weighted by its
number of posts. So the gradient is the same except for rounding, and for losses of a fusion that are means
over words or that compare posts of a batch. After a step all processes hold the same weights, optimiser
moments and averages. Only the first process evaluates, logs and writes, and its checkpoint does not depend on
the number of processes. All read the same files.

With one process the methods of `Processes` communicate nothing and return their input.
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
_TIMEOUT = timedelta(days=1)
"""How long the others wait for the first process, which evaluates and publishes. When a process dies, the
launcher ends all of them at once."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that evaluates, logs and writes."""
        return self.rank == 0

    def share(self, batch: Sequence[T]) -> tuple[Sequence[T], float]:
        """This process's part of a batch, at least one example, and its weight.

        The mean loss of the batch is the mean over processes of weight · mean loss of the part.
        """
        own = batch[self.rank :: self.count]
        return own or batch[:1], self.count * len(own) / len(batch)

    def replicated(self, loss: nn.Module) -> nn.Module:
        """A module whose gradients, after ``backward``, are averaged over the processes."""
        if self.count == 1:
            return loss
        # Weights of a modality that no post of a part has get no gradient there.
        return DistributedDataParallel(loss, find_unused_parameters=True)

    def mean(self, value: float) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.count

    def of_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the first process, sent to all of them."""
        if self.count == 1:
            return make()
        made = [make() if self.first else None]
        distributed.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Wait until all processes have called this."""
        self.mean(0.0)

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Run the block in the first process, then in the others, which find what the first has cached."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def seed(self, *numbers: int) -> None:
        """Seed PyTorch differently in each of several processes, and identically in every run."""
        if self.count > 1:
            words = np.random.SeedSequence((*numbers, self.rank)).generate_state(1, np.uint64)
            torch.manual_seed(int(words[0]) >> 1)


ALONE = Processes()


def rank_and_count() -> tuple[int, int]:
    """Rank of this process and number of processes, set by the launcher; 0 and 1 without a launcher."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the other processes of a training, where a launcher started several.

    Raises:
        TrainingError: another process ended before the training did.
    """
    if not distributed.is_available() or rank_and_count()[1] == 1:
        yield ALONE
        return
    initialised_here = not distributed.is_initialized()
    if initialised_here:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise TrainingError(
            "another process of this training ended",
            where=f"process {distributed.get_rank()}",
            expected="all processes to run until the training ends",
            do="see its error message; the same command resumes after the last finished epoch",
        ) from error
    if initialised_here:
        distributed.destroy_process_group()
