"""How far several predictions of one thing disagree: the two parts of an ensemble's uncertainty.

The entropy of the mean distribution is the mean entropy of the members (what each finds unsure: aleatoric)
plus the mutual information of outcome and member (how they differ: epistemic); Depeweg et al. (2018),
Smith & Gal (2018). Members are passes with dropout (Gal & Ghahramani 2016) or networks of their own
(Lakshminarayanan et al. 2017). It does not know which.

Shapes: R members, K outcomes, … any.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Doubt(NamedTuple):
    """Nats, (…) each; the first is the sum of the others.

    Attributes:
        total: entropy of the mean.
        expected: mean entropy, aleatoric.
        mutual: mutual information, epistemic, at least 0.
    """

    total: Floats
    expected: Floats
    mutual: Floats


def doubt(chances: Floats) -> Doubt:
    """Of distributions (R, …, K) that sum to 1 over K."""
    total, expected = entropy(chances.mean(0)), entropy(chances).mean(0)
    return Doubt(total, expected, np.maximum(total - expected, 0.0))


def doubt_of_events(chances: Floats) -> Doubt:
    """Of the probability (R, …) that one thing is so, in [0, 1]."""
    return doubt(np.stack([chances, 1 - chances], -1))


def entropy(chances: Floats) -> Floats:
    """−Σ p log p of (…, K), nats; what has no chance adds nothing."""
    return np.asarray(-(chances * np.log(np.where(chances > 0, chances, 1.0))).sum(-1))
