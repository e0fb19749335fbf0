"""The training loop: epochs of steps, dev scores after each epoch, the best weights kept.

The model computes the loss. Killed at any moment, a training resumes after the last finished epoch and ends
with the same weights (same machine, same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from twofold.config import TrainingConfig
from twofold.errors import ConfigError, DataError
from twofold.models.multimodal import Batch, MultimodalModel
from twofold.training.checkpoint import Checkpoint, writing
from twofold.training.cpu import cpu_optimised
from twofold.training.dev_scores import Score
from twofold.training.distributed import ALONE, Processes
from twofold.training.examples import Example, FeatureTable, batches, collate
from twofold.training.finite import explain, first_broken, not_finite
from twofold.training.learning_curve import Row, draw_curve, write_log
from twofold.training.optimiser import Average, make_optimiser, make_schedule, trainable

Log = Callable[[str], None]
"""Called with a line of progress."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Examples to train on and to score.

    Attributes:
        train: training examples.
        dev: examples of each dev file by its name.
        tables: features of each modality that is encoded beforehand, by name.
        score: metric, in per cent, of a model on examples.
        pair_tables: as ``tables``, for examples of a second task, with slots; None for one task.
        augmented: gives the training examples of an epoch by its number; None where all use ``train``.
    """

    train: Sequence[Example]
    dev: Mapping[str, Sequence[Example]]
    tables: Mapping[str, FeatureTable]
    score: Score
    pair_tables: Mapping[str, FeatureTable] | None = None
    augmented: Callable[[int], Sequence[Example]] | None = None

    def tables_for(self, examples: Sequence[Example]) -> Mapping[str, FeatureTable]:
        """The features of examples of one task."""
        pairs = self.pair_tables is not None and bool(examples) and examples[0].slots is not None
        return self.pair_tables if pairs and self.pair_tables is not None else self.tables

    def examples(self, epoch: int) -> Sequence[Example]:
        """The training examples of an epoch."""
        return self.augmented(epoch) if self.augmented else self.train


def choose_device(config: TrainingConfig) -> torch.device:
    """The configured device; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: the device is not available.
    """
    if config.device != "auto":
        try:
            device = torch.device(config.device)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"device is {config.device!r}: {str(error).splitlines()[0]}",
                expected="a device of this machine",
                do="use auto or cpu",
            ) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def mixed_precision(config: TrainingConfig, device: torch.device) -> bool:
    """Whether the text encoder runs in bf16; ``auto`` does where the hardware supports it."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


class _Loss(nn.Module):
    """The loss of a model on a batch, a scalar: the sum over its parts."""

    def __init__(self, model: MultimodalModel, autocast: Callable[[], torch.autocast]) -> None:
        super().__init__()
        self.model, self.autocast = model, autocast

    def forward(self, batch: Batch) -> Tensor:
        with self.autocast():
            parts = [(part, part(own), own) for part, own in self.model.parts(batch)]
        return torch.stack([part.loss(output, own) for part, output, own in parts]).sum()


class Trainer:
    """A training that can be interrupted and resumed.

    Args:
        model: trained in place.
        data: examples and features.
        config: how it is trained.
        folder: for log, curve, checkpoint and best weights.
        identity: identifies the training that a checkpoint belongs to.
        log: called with a line of progress now and then.
        processes: those that share the training; each makes a trainer with the same arguments.
    """

    def __init__(
        self,
        model: MultimodalModel,
        data: TrainingData,
        config: TrainingConfig,
        folder: Path,
        identity: str,
        log: Log,
        processes: Processes = ALONE,
    ) -> None:
        self.device = choose_device(config)
        self.model, self.data, self.config = model.to(self.device), data, config
        model.text.token_masking = config.token_masking
        self.folder, self.log, self.processes = folder, log, processes
        self.steps = sum(1 for _ in batches(data.train, config.batch_size, config.seed, 0))
        self.optimiser = make_optimiser(model, config)
        self.schedule = make_schedule(self.optimiser, self.steps * config.epochs, config.warmup_ratio)
        self.average = Average(model, config.ema_decay)
        self.checkpoint = Checkpoint(folder / "checkpoint.pt", identity)
        self.best = folder / "weights.safetensors"
        self.rows: list[Row] = []
        self._loss = processes.replicated(_Loss(model, self._autocast))

    def run(self) -> list[Row]:
        """Train to the end and leave the model with its best weights.

        Returns:
            One row per epoch: epoch, loss, dev F1 by file, score, wall-clock seconds and processor seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        progress = self.checkpoint.load(self.model, self.average, self.optimiser, self.schedule)
        if progress:
            self.rows = progress["rows"]
            self.log(f"resuming after epoch {len(self.rows)}")
        self._check_epoch()
        with cpu_optimised(self.model, self.device):
            while len(self.rows) < self.config.epochs and not self._should_stop():
                self._epoch(len(self.rows))
        self.processes.wait()  # until the first process has written the best weights
        self._load_best()
        self.model.eval()
        return self.rows

    def _check_epoch(self) -> None:
        """Raise an error where the first process resumes after another epoch than this one."""
        begin = self.processes.of_first(lambda: len(self.rows))
        if begin != len(self.rows):
            raise DataError(
                f"process {self.processes.rank} of the training finds a checkpoint after epoch "
                f"{len(self.rows)}, the first process after epoch {begin}",
                where=str(self.folder),
                expected="a folder that all processes share",
            )

    def _load_best(self) -> None:
        try:
            self.model.load_state_dict(load_file(self.best))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DataError(
                f"the best weights cannot be read: {error}",
                where=str(self.best),
                do="use --restart to start from scratch",
            ) from error

    def _should_stop(self) -> bool:
        scores = [row["score"] for row in self.rows]
        patience = self.config.patience
        return patience > 0 and len(scores) - 1 - int(np.argmax(scores)) >= patience if scores else False

    def _epoch(self, epoch: int) -> None:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        loss = self._train(epoch)
        self.average.swap(self.model)
        dev = self.processes.of_first(self._score)
        score = float(np.mean(list(dev.values())))
        if self.processes.first and score > max((row["score"] for row in self.rows), default=-1.0):
            self._save_weights(f"epoch {epoch + 1}")
        self.average.swap(self.model)
        seconds = round(time.perf_counter() - begin, 1)
        row = {"epoch": epoch + 1, "loss": loss, "dev": dev, "score": score, "seconds": seconds}
        self.rows.append(row | {"processor_seconds": round(time.process_time() - cpu_begin, 3)})
        if self.processes.first:
            self._write()
        scores = "  ".join(f"{name} {value:.2f}" for name, value in dev.items())
        self.log(f"epoch {epoch + 1}/{self.config.epochs}  loss {loss:.3f}  dev F1 {scores}  {seconds} s")

    def _save_weights(self, where: str) -> None:
        """Save the weights as the best ones."""
        weights = self._weights()
        if broken := first_broken(weights):
            raise not_finite(f"the weights {broken} hold NaN or infinite values", where)
        with writing(self.best):
            save_file(weights, self.best)

    def _write(self) -> None:
        self.checkpoint.save(self.model, self.average, self.optimiser, self.schedule, {"rows": self.rows})
        write_log(self.rows, self.folder / "log.jsonl")
        draw_curve(self.rows, self.folder / "curve.png")

    def _score(self) -> dict[str, float]:
        """Dev scores, in the precision of training."""
        data = self.data
        with self._autocast():
            return {name: data.score(self.model, x, data.tables_for(x)) for name, x in data.dev.items()}

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: x.detach().cpu().contiguous() for name, x in self.model.state_dict().items()}

    def _train(self, epoch: int) -> float:
        """One pass over the training examples; returns the mean loss."""
        self.model.train()
        self.processes.seed(self.config.seed, epoch)
        total, begin = 0.0, time.perf_counter()
        examples = self.data.examples(epoch)
        groups = list(batches(examples, self.config.batch_size, self.config.seed, epoch))
        for step, group in enumerate(groups, 1):
            own, weight = self.processes.share(group)
            batch = collate(own, self.data.tables_for(own), self.model.text.pad_id).to(self.device)
            total += self.step(batch, f"epoch {epoch + 1}, step {step}", weight)
            if step % 50 == 0:
                left = (time.perf_counter() - begin) / step * (len(groups) - step)
                self.log(f"epoch {epoch + 1} step {step}/{len(groups)}  {left:.0f} s left in this epoch")
        return self.processes.mean(total / len(groups))

    def step(self, batch: Batch, where: str = "", weight: float = 1.0) -> float:
        """One optimiser step on a batch; returns its weighted loss.

        Args:
            batch: training examples of this process.
            where: epoch and step, for messages.
            weight: of this batch's loss in the mean over the processes.

        Raises:
            TrainingError: loss or gradient is not finite; the weights are unchanged.
        """
        loss = weight * self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable(self.model), self.config.max_grad_norm)
        if not torch.isfinite(loss + norm):
            raise explain(loss.detach(), norm, batch, self.model, where)
        self.optimiser.step()
        self.schedule.step()
        self.average.update(self.model)
        return float(loss.detach())

    def _autocast(self) -> torch.autocast:
        mixed = mixed_precision(self.config, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)
