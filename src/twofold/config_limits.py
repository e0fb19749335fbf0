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
    """A range. ``open`` is "low" or "high" if that bound is excluded."""

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
"""Allowed values of keys that select no component; a device may be followed by a colon and a number."""


SUMS: tuple[tuple[str, ...], ...] = (
    ("model.evidential.blank_pictures", "model.evidential.mismatched_pictures"),
    (
        "training.augmentation.lower_case",
        "training.augmentation.upper_case",
        "training.augmentation.title_case",
    ),
)
"""Keys of probabilities that exclude each other: their sum is at most 1."""


def check_limits(config: Config, where: str = "") -> None:
    """Check every number of a configuration, and the names in `NAMES`.

    Args:
        config: of a training.
        where: its file, if any, for the message.

    Raises:
        ConfigError: a number or a sum is out of its range, or a name unknown; it names key, value and allowed
            values.
    """
    for key, known in NAMES.items():
        section, name = key.split(".")
        given = getattr(getattr(config, section), name)
        if given.partition(":" if key == "training.device" else "\0")[0] not in known:
            raise ConfigError(
                f"{key} is {given!r}",
                where=where,
                expected=f"one of {', '.join(known)}",
                do=_advice(key),
            )
    values = dict(numbers(config))
    for key, value in values.items():
        limit = LIMITS[key]
        if not limit.holds(value):
            raise ConfigError(f"{key} is {value}", where=where, expected=str(limit), do=_advice(key))
    for keys in SUMS:
        total = math.fsum(values[key] for key in keys)
        if total > 1:
            raise ConfigError(
                f"{' + '.join(keys)} is {total:g}",
                where=where,
                expected="a sum of at most 1",
                do=_advice(*keys),
            )


def _advice(*keys: str) -> str:
    options = ", ".join(filter(None, map(option, keys)))
    return "change it in the configuration" + (f", or with {options}" if options else "")


def numbers(table: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Key and value of each number of a configuration."""
    for item in fields(table):
        value, key = getattr(table, item.name), f"{prefix}{item.name}"
        if is_dataclass(value):
            yield from numbers(value, f"{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield key, value


def option(key: str) -> str:
    """Option of ``twofold train`` for a configuration key; "" for a key that can only be set in the file."""
    if key == "data.alt_text":
        return "--alt-text-file"
    if key.startswith("training.augmentation."):
        return ""
    return "--" + key.partition(".")[2].replace("relations.", "relation.").replace("_", "-").replace(".", "-")
