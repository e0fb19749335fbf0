"""How doubtful a whole post is, as far as a tagger can say: one number a measure.

Of its entities, the mean and the largest 1 − confidence, aleatoric and epistemic; nan where none was found.
Of its words, found or not, the mean and the largest 1 − probability of the likeliest tag (largest: the post's
least marginal), and of both uncertainties; nan where there are no words.
It does not know what is right, or where the post came from.

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

MEASURES = ("confidence", "aleatoric", "epistemic")
NAMES = tuple(
    f"{of}_{name}_{how}" for of in ("entity", "word") for name in MEASURES for how in ("mean", "max")
)
"""``entity_confidence_mean`` is of 1 − confidence, so that all are larger for less sure."""


def post_doubt(
    decoder: ChainDecoder, temperature: float, reading: EncodedPost, entities: Sequence[Entity]
) -> dict[str, float]:
    """Every measure of `NAMES` for one post.

    Args:
        decoder: the CRF.
        temperature: of its probabilities.
        reading: of the post.
        entities: found in it.
    """
    parts = [*_of_entities(entities), *_of_words(decoder, temperature, reading)]
    figures = [value for part in parts for value in (_mean(part), _largest(part))]
    return dict(zip(NAMES, figures, strict=True))


def _of_entities(entities: Sequence[Entity]) -> tuple[Floats, Floats, Floats]:
    told = [e.uncertainty for e in entities if e.uncertainty is not None]
    return (
        np.array([1 - e.confidence for e in entities if e.confidence is not None]),
        np.array([u.aleatoric for u in told]),
        np.array([u.epistemic for u in told]),
    )


def _of_words(
    decoder: ChainDecoder, temperature: float, reading: EncodedPost
) -> tuple[Floats, Floats, Floats]:
    """Of each word, (W,); empty without words, the last two also without evidence."""
    emissions = reading.emissions[None]  # (1, W, K)
    mask = np.full(emissions.shape[:2], True)
    if not mask.size:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    doubt = 1 - decoder.tag_marginals(emissions, mask, temperature)[0].max(1)
    if reading.fused is None:
        return doubt, np.zeros(0), np.zeros(0)
    places = reading.fused.transpose(1, 0, 2)[:, :, None, :]  # (W, 4, 1, K)
    return doubt, *uncertainty(places)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _largest(values: Floats) -> float:
    return float(values.max()) if len(values) else math.nan
