"""Uncertainty of a tagger about a whole post: one number for each measure.

Over its entities: mean and maximum of 1 − confidence, of aleatoric and of epistemic uncertainty; nan where no
entity was predicted. Over all its words: mean and maximum of 1 − probability of the most probable tag, of
aleatoric and of epistemic uncertainty; nan where there are no words. This module does not know gold labels,
or where the post came from.

Shape letters: W words, K tags.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.crf import ChainDecoder
from twofold.inference.encode import EncodedPost
from twofold.inference.uncertainty import uncertainty
from twofold.posts import Entity

Floats = NDArray[np.float64]

MEASURES = tuple(
    f"{item}_{name}_{statistic}"
    for item in ("entity", "word")
    for name in ("confidence", "aleatoric", "epistemic")
    for statistic in ("mean", "max")
)
"""``entity_confidence_mean`` is the mean of 1 − confidence: all measures are larger for more uncertainty."""


def post_uncertainty(
    decoder: ChainDecoder, temperature: float, post: EncodedPost, entities: Sequence[Entity]
) -> dict[str, float]:
    """Compute all of `MEASURES` for one post.

    Args:
        decoder: the CRF.
        temperature: temperature of its probabilities.
        post: the encoded post.
        entities: entities predicted in it.
    """
    parts = [*_entity_measures(entities), *_word_measures(decoder, temperature, post)]
    values = [value for part in parts for value in (_mean(part), _max(part))]
    return dict(zip(MEASURES, values, strict=True))


def _entity_measures(entities: Sequence[Entity]) -> tuple[Floats, Floats, Floats]:
    known = [e.uncertainty for e in entities if e.uncertainty is not None]
    return (
        np.array([1 - e.confidence for e in entities if e.confidence is not None]),
        np.array([u.aleatoric for u in known]),
        np.array([u.epistemic for u in known]),
    )


def _word_measures(
    decoder: ChainDecoder, temperature: float, post: EncodedPost
) -> tuple[Floats, Floats, Floats]:
    """Three measures of each word, (W,); empty without words, the last two also without evidence."""
    emissions = post.emissions[None]  # (1, W, K)
    mask = np.full(emissions.shape[:2], True)
    if not mask.size:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    unsure = 1 - decoder.tag_marginals(emissions, mask, temperature)[0].max(1)
    if post.fused is None:
        return unsure, np.zeros(0), np.zeros(0)
    parameters = post.fused.transpose(1, 0, 2)[:, :, None, :]  # (W, 4, 1, K)
    return unsure, *uncertainty(parameters)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _max(values: Floats) -> float:
    return float(values.max()) if len(values) else math.nan
