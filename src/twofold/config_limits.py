"""Ranges of the numbers of a training's configuration, checked before any file is read.

Names (of encoders, fusions, …) are checked where they are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from twofold.config import Config
from twofold.errors import ConfigError


class Limit(NamedTuple):
    """A range. ``open`` holds "low" or "high" where that end is not part of it."""

    low: float
    high: float = math.inf
    open: str = ""

    def holds(self, value: float) -> bool:
        """Whether a value lies within; NaN and infinite values never do."""
        if not math.isfinite(value):
            return False
        above = value > self.low if "low" in self.open else value >= self.low
        return above and (value < self.high if "high" in self.open else value <= self.high)

    def __str__(self) -> str:
        low = f"{'above' if 'low' in self.open else 'at least'} {self.low:g}"
        if math.isinf(self.high):
            return f"a number {low}"
        return f"a number {low} and {'below' if 'high' in self.open else 'at most'} {self.high:g}"


_SHARE, _WEIGHT, _COUNT = Limit(0, 1), Limit(0), Limit(1)
LIMITS: Mapping[str, Limit] = {
    "model.adapter_rank": _COUNT,
    "model.max_crops": Limit(1, 100),
    "model.modality_dropout": _SHARE,
    "model.window_pieces": Limit(8),
    "model.context_words": Limit(0),
    "model.evidential.loss_weight": _WEIGHT,
    "model.evidential.regulariser_weight": _WEIGHT,
    "model.evidential.blank_pictures": _SHARE,
    "model.evidential.mismatched_pictures": _SHARE,
    "model.bottleneck.hidden_size": _COUNT,
    "model.bottleneck.alignment_weight": _WEIGHT,
    "model.bottleneck.text_kl_weight": _WEIGHT,
    "model.bottleneck.picture_kl_weight": _WEIGHT,
    "model.multigranular.hidden_size": Limit(4),
    "model.multigranular.augmentation_words": Limit(0),
    "model.multigranular.auxiliary_weight": _WEIGHT,
    "model.dirichlet.loss_weight": _WEIGHT,
    "model.dirichlet.kl_weight": _WEIGHT,
    "model.relations.layers": _COUNT,
    "model.relations.imbalance_strength": _SHARE,
    "training.epochs": _COUNT,
    "training.patience": Limit(0),
    "training.batch_size": _COUNT,
    "training.encoder_lr": _SHARE,
    "training.head_lr": _SHARE,
    "training.crf_lr": _SHARE,
    "training.warmup_ratio": _SHARE,
    "training.weight_decay": _WEIGHT,
    "training.ema_decay": Limit(0, 1, open="high"),
    "training.max_grad_norm": Limit(0, open="low"),
    "training.token_masking": _SHARE,
    "training.initial_weights_share": _SHARE,
    "training.augmentation.links": _SHARE,
    "training.augmentation.lower_case": _SHARE,
    "training.augmentation.upper_case": _SHARE,
    "training.augmentation.title_case": _SHARE,
    "training.augmentation.typos": _SHARE,
    "training.augmentation.elongation": _SHARE,
    "training.augmentation.no_punctuation": _SHARE,
    "training.augmentation.repetition": _SHARE,
    "training.seed": Limit(0, 2**32 - 1),
    "training.threads": Limit(0, 1024),
}
"""Range of every number, by key."""


NAMES: Mapping[str, tuple[str, ...]] = {
    "model.weights": ("8bit", "8bit_weights", "float32"),
    "training.device": ("auto", "cpu", "cuda", "mps"),
    "training.precision": ("auto", "float32", "bfloat16"),
}
"""Values of keys that name no part; a device may have a number behind a colon."""


def check_limits(config: Config, where: str = "") -> None:
    """Check every number of a configuration, and the names in `NAMES`.

    Args:
        config: of a training.
        where: its file, if any, for the message.

    Raises:
        ConfigError: a number is out of its range, or a name unknown; names key, value and what it may be.
    """
    for key, known in NAMES.items():
        section, name = key.split(".")
        given = getattr(getattr(config, section), name)
        if given.partition(":" if key == "training.device" else "\0")[0] not in known:
            raise ConfigError(
                f"{key} is {given!r}",
                where=where,
                expected=f"one of {', '.join(known)}",
                do=f"change it in the configuration, or with --{option(key)}",
            )
    for key, value in numbers(config):
        limit = LIMITS[key]
        if not limit.holds(value):
            raise ConfigError(
                f"{key} is {value}",
                where=where,
                expected=str(limit),
                do=f"change it in the configuration, or with --{option(key)}",
            )


def numbers(table: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Key and value of each number of a configuration."""
    for item in fields(table):
        value, key = getattr(table, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from numbers(value, f"{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield key, value


def option(key: str) -> str:
    """Option of ``twofold train`` for a key, without its hyphens."""
    return key.partition(".")[2].replace("_", "-").replace(".", "-")
