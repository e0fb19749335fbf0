"""Checkpoints: everything that an interrupted training needs to resume.

Written atomically after each epoch. Read with ``weights_only``: a checkpoint can hold numbers, not code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from twofold.errors import DataError
from twofold.training.optimiser import Average

State = dict[str, Any]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of writing a file, within the block, into an error that names the file.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap errors of the disk
        raise DataError(
            f"cannot be written: {getattr(error, 'strerror', None) or str(error)[:200]}",
            where=str(path),
            expected="enough free disk space",
            do="free some space and run the same command again: it resumes after the last finished epoch",
        ) from error


def load_initial_weights(
    model: nn.Module, path: Path, log: Callable[[str], object], part: str = ""
) -> dict[str, Tensor]:
    """Load the weights of an earlier training that match in name and shape.

    Args:
        model: changed in place.
        path: a ``weights.safetensors``, which a training leaves beside its model folder.
        log: called with a line on how many were loaded.
        part: prefix of the names of one part of a larger model; where the file has names with it, only those
            are loaded, without the prefix.

    Returns:
        The loaded weights by name.

    Raises:
        DataError: the file cannot be read, or no weight matches.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot be read: {error}", where=str(path), expected="weights of a training"
        ) from error
    if part and any(name.startswith(part) for name in found):
        found = {name.removeprefix(part): x for name, x in found.items() if name.startswith(part)}
    own = model.state_dict()
    matching = {name: x for name, x in found.items() if name in own and own[name].shape == x.shape}
    if not matching:
        raise DataError(
            f"none of its {len(found)} weights matches one of this model's {len(own)} in name and shape",
            where=str(path),
            expected="weights of a training with the same encoder",
        )
    model.load_state_dict(matching, strict=False)
    log(f"initialised {len(matching)} of {len(own)} weights from {path.name}")
    return matching


@torch.no_grad()
def average_with(model: nn.Module, weights: Mapping[str, Tensor], share: float) -> None:
    """Move a model's weights towards others of the same names, by a share (0 to 1) of the difference."""
    own = model.state_dict()
    for name, other in weights.items():
        if other.is_floating_point():
            own[name].lerp_(other.to(own[name]), share)


class Checkpoint:
    """The state of a training in one file.

    Args:
        path: the file.
        identity: identifies the training; a checkpoint of another training is refused.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity

    def save(
        self,
        model: nn.Module,
        average: Average,
        optimiser: Optimizer,
        schedule: LRScheduler,
        progress: State,
    ) -> None:
        """Write the file; ``progress`` is plain data that `load` returns."""
        state = {
            "identity": self.identity,
            "model": model.state_dict(),
            "average": {"weights": average.state(), "steps": average.steps},
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "progress": progress,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        with writing(self.path):
            torch.save(state, part)
            part.replace(self.path)

    def load(
        self, model: nn.Module, average: Average, optimiser: Optimizer, schedule: LRScheduler
    ) -> State | None:
        """Restore in place.

        Returns:
            The progress that was saved; None where there is no checkpoint.

        Raises:
            DataError: the checkpoint belongs to another training, or is damaged.
        """
        if not self.path.exists():
            return None
        try:
            state: State = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception as error:  # torch names no narrower type for a damaged file
            raise DataError(
                f"the checkpoint cannot be read: {error}",
                where=str(self.path),
                do="delete it to start from scratch",
            ) from error
        if state["identity"] != self.identity:
            raise DataError(
                "the checkpoint belongs to a training with another configuration or other data",
                where=str(self.path),
                do="use --restart to start from scratch, or another output folder",
            )
        model.load_state_dict(state["model"])
        average.steps = state["average"]["steps"]
        for name, weight in state["average"]["weights"].items():
            average.weights[name].copy_(weight)
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_cuda"])
        progress: State = state["progress"]
        return progress

    def remove(self) -> None:
        """Delete it: the training is finished."""
        self.path.unlink(missing_ok=True)
