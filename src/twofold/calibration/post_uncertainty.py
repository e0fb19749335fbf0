"""Uncertainty of a whole post by a tagger: one number for each measure.

Of its entities, mean and maximum of 1 − confidence, aleatoric and epistemic; nan where none was predicted.
Of all its words, mean and maximum of 1 − probability of the likeliest tag, aleatoric and epistemic; nan
where there are no words. This module does not know gold labels, or where the post came from.

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
"""``entity_confidence_mean`` is of 1 − confidence, so that all measures are larger for less sure."""


def post_uncertainty(
    decoder: ChainDecoder, temperature: float, post: EncodedPost, entities: Sequence[Entity]
) -> dict[str, float]:
    """Every one of `MEASURES` for one post.

    Args:
        decoder: the CRF.
        temperature: of its probabilities.
        post: the encoded post.
        entities: predicted in it.
    """
    parts = [*_of_entities(entities), *_of_words(decoder, temperature, post)]
    values = [value for part in parts for value in (_mean(part), _max(part))]
    return dict(zip(MEASURES, values, strict=True))


def _of_entities(entities: Sequence[Entity]) -> tuple[Floats, Floats, Floats]:
    known = [e.uncertainty for e in entities if e.uncertainty is not None]
    return (
        np.array([1 - e.confidence for e in entities if e.confidence is not None]),
        np.array([u.aleatoric for u in known]),
        np.array([u.epistemic for u in known]),
    )


def _of_words(decoder: ChainDecoder, temperature: float, post: EncodedPost) -> tuple[Floats, Floats, Floats]:
    """Of each word, (W,); empty without words, the last two also without evidence."""
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
