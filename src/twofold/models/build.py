"""From names to objects: the one place where a method is chosen by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twofold.config import ModelConfig
from twofold.encoders.image import ImageEncoder
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError
from twofold.fusion.contract import Fusion
from twofold.fusion.evidential import Evidential
from twofold.fusion.nig import LogLinear, MoNIG, Pooling, PriorCorrected
from twofold.fusion.text_only import TextOnly
from twofold.heads.crf import CRF
from twofold.models.tagger import Tagger

T = TypeVar("T")
FusionMaker = Callable[[ModelConfig, int, int, dict[str, int]], Fusion]


def _evidential(config: ModelConfig, width: int, outputs: int, sources: dict[str, int]) -> Fusion:
    make = choose(POOLINGS, config.pooling, "pooling")
    return Evidential(
        width,
        outputs,
        sources,
        make(width, 1 + len(sources)),
        evidence_weight=config.evidence_weight,
        regulariser_weight=config.regulariser_weight,
        source_dropout=config.source_dropout,
    )


POOLINGS: dict[str, Callable[[int, int], Pooling]] = {
    "monig": lambda width, count: MoNIG(),
    "prior_corrected": lambda width, count: PriorCorrected(),
    "log_linear": LogLinear,
}
FUSIONS: dict[str, FusionMaker] = {
    "evidential": _evidential,
    "text_only": lambda config, width, outputs, sources: TextOnly(width, outputs),
}


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Look a name up.

    Raises:
        ConfigError: the name is not in the table.
    """
    if name not in table:
        raise ConfigError(f"{name!r} came", where=what, expected="one of " + ", ".join(table))
    return table[name]


def build_tagger(
    config: ModelConfig, labels: Sequence[str], text: TextEncoder, image: ImageEncoder | None
) -> Tagger:
    """Put a tagger together.

    Args:
        config: what is built.
        labels: BIO tags.
        text: text encoder. image: picture encoder, where ``picture`` is among the sources.
    """
    widths = {"alt_text": text.width} | ({"picture": image.width} if image else {})
    sources = {name: choose(widths, name, "source") for name in config.sources}
    fusion = choose(FUSIONS, config.fusion, "fusion")(config, text.width, len(labels), sources)
    return Tagger(text, fusion, CRF(labels))
