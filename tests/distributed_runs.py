"""What each process of a distributed training does: a program that `torchrun` starts for the tests.

Arguments: folder with ``config.toml`` and for results, and a job. Each process writes its results to
``JOB.RANK.pt``.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from quick_export import quick_exports

from twofold.cli.main import main
from twofold.config import Config, read_config
from twofold.errors import DataError
from twofold.training.distributed import Processes, joined, rank_and_count
from twofold.training.examples import Example, collate
from twofold.training.loop import Trainer
from twofold.training.optimiser import make_optimiser
from twofold.training.run import TrainingSetup, set_up_training

CONFIG = "config.toml"
Gradients = dict[str, torch.Tensor | None]


def untrained(config: Config) -> TrainingSetup:
    """A model without an auxiliary loss, whose dropout is off."""
    model = dataclasses.replace(config.model, fusion="concat", modality_dropout=0.0)
    training = dataclasses.replace(config.training, max_grad_norm=1e9)
    setup = set_up_training(dataclasses.replace(config, model=model, training=training), print)
    make_optimiser(setup.model, training)  # freezes what is not trained
    setup.model.eval()
    return setup


def gradients(setup: TrainingSetup) -> Gradients:
    return {name: x.grad for name, x in setup.model.named_parameters()}


def of_batch(config: Config, batch: Sequence[Example], folder: Path, processes: Processes) -> Gradients:
    """The gradient of one step on a batch that the processes share."""
    setup = untrained(config)
    training = dataclasses.replace(config.training, max_grad_norm=1e9)
    trainer = Trainer(setup.model, setup.data, training, folder, "identity", print, processes)
    own, weight = processes.share(batch)
    trainer.step(collate(own, setup.data.tables, setup.model.text.pad_id), "", weight)
    return gradients(setup)


def steps(folder: Path, processes: Processes) -> None:
    """Gradients of five posts, of which only those of one process have alt texts, and of one post."""
    config = read_config(folder / CONFIG)
    examples = untrained(config).data.train
    described, plain = ([e for e in examples if bool(e.texts) == has] for has in (True, False))
    five = of_batch(config, [plain[0], described[0], plain[1], described[1], plain[2]], folder, processes)
    one = of_batch(config, [described[2]], folder, processes)
    torch.save({"five": five, "one": one}, folder / f"steps.{processes.rank}.pt")


def failing(folder: Path) -> None:
    """Gradients, then a training in which the second process fails in the third epoch."""
    if rank_and_count()[0] == 1:
        train = Trainer._train

        def fail(self: Trainer, epoch: int) -> float:
            if epoch == 2:
                raise DataError("the second process fails")
            return train(self, epoch)

        Trainer._train = fail
    with joined() as processes:
        steps(folder, processes)
        sys.exit(run(folder))


def whole(folder: Path) -> None:
    """A whole training; each process records which files below the folder it wrote or renamed."""
    written: list[str] = []

    def record_write(event: str, values: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR)
        path = str(values[1] if event == "os.rename" else values[0]) if values else ""
        if (writes or event == "os.rename") and path.startswith(str(folder)):
            written.append(path)

    sys.addaudithook(record_write)
    code = run(folder)
    torch.save(written.copy(), folder / f"whole.{rank_and_count()[0]}.pt")
    sys.exit(code)


def run(folder: Path) -> int:
    with quick_exports():
        return main(["train", str(folder / CONFIG), "-o", str(folder / "model")])


if __name__ == "__main__":
    {"failing": failing, "whole": whole}[sys.argv[2]](Path(sys.argv[1]))
