"""Decompose the uncertainty of an ensemble into aleatoric (mean entropy) and epistemic (mutual information).

The entropy of the mean distribution is the mean entropy of the members (aleatoric) plus the mutual
information of outcome and member (epistemic: how far the members disagree); Depeweg et al. (2018), Smith &
Gal (2018). Members are forward passes with dropout (Gal & Ghahramani 2016) or separate networks
(Lakshminarayanan et al. 2017); this module is the same for both.

Shapes: R members, K outcomes, … any.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class EnsembleUncertainty(NamedTuple):
    """Uncertainties in nats, (…) each; the first is the sum of the others.

    Attributes:
        total: entropy of the mean distribution.
        aleatoric: mean entropy of the members.
        epistemic: mutual information, at least 0.
    """

    total: Floats
    aleatoric: Floats
    epistemic: Floats


def ensemble_uncertainty(probabilities: Floats) -> EnsembleUncertainty:
    """Uncertainty of distributions (R, …, K) that sum to 1 over K."""
    total, aleatoric = entropy(probabilities.mean(0)), entropy(probabilities).mean(0)
    return EnsembleUncertainty(total, aleatoric, np.maximum(total - aleatoric, 0.0))


def binary_ensemble_uncertainty(probabilities: Floats) -> EnsembleUncertainty:
    """Uncertainty of the probabilities (R, …) of one event, in [0, 1]."""
    return ensemble_uncertainty(np.stack([probabilities, 1 - probabilities], -1))


def entropy(probabilities: Floats) -> Floats:
    """Entropy −Σ p log p of (…, K), in nats; 0 log 0 is 0."""
    return np.asarray(-(probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))).sum(-1))
