"""The formulas of evidential fusion in plain NumPy, as the papers state them: a reference without torch.

δ, γ, α, β are arrays of one shape, in this order; lists of them run over the modalities of one post.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Nig = tuple[Array, Array, Array, Array]
PooledNig = tuple[Nig, Array]
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


def keep(name: str, value: Array) -> Array:
    """The value unchanged: the default of ``hold`` in `pooled`."""
    return value


def pooled(
    rule: str, nigs: list[Nig], scores: Array, hold: Callable[[str, Array], Array] = keep
) -> PooledNig:
    """The pooled NIG and the weight (M, W, K) of each modality in its δ.

    Args:
        rule: monig (Eq. 9 of MoNIG), prior_corrected, discounted or log_linear.
        nigs: (W, K) of the M modalities that are present.
        scores: (M, W) logits of their weights, for log_linear.
        hold: called with name and value of everything that may have no gradient; its result is used.
    """
    delta, gamma, alpha, beta = (np.stack(part) for part in zip(*nigs, strict=True))  # (M, W, K)
    weight = np.ones_like(gamma)
    if rule == "log_linear":
        weight = (np.exp(scores) / np.exp(scores).sum(0))[:, :, None] * weight
    counted = (weight * gamma).sum(0)
    mean = (weight * gamma * delta).sum(0) / counted
    disagreement = hold("disagreement", 0.5 * (weight * gamma * (delta - mean) ** 2).sum(0))
    share = weight * gamma / counted
    if rule == "monig":
        return (mean, counted, alpha.sum(0) + (len(nigs) - 1) / 2, beta.sum(0) + disagreement), share
    if rule == "log_linear":
        weight = hold("weight", weight)
        return (mean, counted, (weight * alpha).sum(0), (weight * beta).sum(0) + disagreement), share
    if rule == "discounted":
        noise = gamma / (1 + gamma)
        weight = hold("discount", noise / noise.max(0))
    return (mean, counted, 1 + (weight * (alpha - 1)).sum(0), (weight * beta).sum(0) + disagreement), share
