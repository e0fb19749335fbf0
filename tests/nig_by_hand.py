"""The formulas of evidential fusion in plain NumPy, as the papers state them: an oracle that knows no torch.

δ, γ, α, β are arrays of one shape, in this order; lists of them run over the modalities of one post.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Nig = tuple[Array, Array, Array, Array]
CAP = 20.0


def softplus(x: Array) -> Array:
    return np.log1p(np.exp(x))


def capped(x: Array, cap: float) -> Array:
    return cap * np.tanh(x / cap)


def student_t_nll(nig: Nig, target: Array) -> Array:
    """−log t(y; df 2α, location δ, scale² β(1+γ)/(γα)), from the density of the Student-t."""
    delta, gamma, alpha, beta = nig
    df, scale2 = 2 * alpha, beta * (1 + gamma) / (gamma * alpha)
    lgamma = np.vectorize(math.lgamma)
    normaliser = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * np.log(math.pi * df * scale2)
    result: Array = (df + 1) / 2 * np.log1p((target - delta) ** 2 / (df * scale2)) - normaliser
    return result


def loss(nig: Nig, target: Array, regulariser_weight: float) -> Array:
    """NLL + λ·|y−δ|(2γ+α)."""
    delta, gamma, alpha, _ = nig
    penalty = np.abs(target - delta) * (2 * gamma + alpha)
    result: Array = student_t_nll(nig, target) + regulariser_weight * penalty
    return result


def weighted(nigs: list[Nig], weights: Array) -> tuple[Array, Array, Array]:
    """δ, γ and ½Σwγ(δₘ−δ)² of a weighted sum; weights (M, …)."""
    delta, gamma = np.stack([nig[0] for nig in nigs]), weights * np.stack([nig[1] for nig in nigs])
    mean = (gamma * delta).sum(0) / gamma.sum(0)
    return mean, gamma.sum(0), 0.5 * (gamma * (delta - mean) ** 2).sum(0)


def monig(nigs: list[Nig]) -> Nig:
    mean, gamma, spread = weighted(nigs, np.ones((len(nigs), 1, 1)))
    return (
        mean,
        gamma,
        sum(nig[2] for nig in nigs) + (len(nigs) - 1) / 2,
        sum(nig[3] for nig in nigs) + spread,
    )


def prior_corrected(nigs: list[Nig]) -> Nig:
    mean, gamma, spread = weighted(nigs, np.ones((len(nigs), 1, 1)))
    return mean, gamma, 1 + sum(nig[2] - 1 for nig in nigs), sum(nig[3] for nig in nigs) + spread


def discounted(nigs: list[Nig]) -> Nig:
    mean, gamma, spread = weighted(nigs, np.ones((len(nigs), 1, 1)))
    noise = [nig[1] / (1 + nig[1]) for nig in nigs]
    most = np.maximum.reduce(noise)
    counts = [x / most for x in noise]
    alpha = 1 + sum(c * (nig[2] - 1) for c, nig in zip(counts, nigs, strict=True))
    return mean, gamma, alpha, sum(c * nig[3] for c, nig in zip(counts, nigs, strict=True)) + spread


def log_linear(nigs: list[Nig], scores: Array) -> Nig:
    """Scores (M, W) of the modalities that are there."""
    weights = (np.exp(scores) / np.exp(scores).sum(0))[:, :, None]
    mean, gamma, spread = weighted(nigs, weights)
    alpha, beta = (sum(w * nig[i] for w, nig in zip(weights, nigs, strict=True)) for i in (2, 3))
    return mean, gamma, alpha, beta + spread
