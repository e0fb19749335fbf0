"""The Normal-Inverse-Gamma distribution: head, evidence loss, uncertainties, and four ways to pool.

σ² ~ InvGamma(α, β), μ | σ² ~ N(δ, σ²/γ) with δ real, γ > 0, α > 1, β > 0.

A stack of NIGs is one tensor with the four parameters on an axis of their own. Shapes: … any, M
sources. Sources: Amini et al. (NeurIPS 2020) for head and loss; Ma et al., MoNIG (NeurIPS 2021,
Eq. 9) for the summation. The other pools are derived here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

EVIDENCE_CAP = 20.0
"""γ and α stay below this: one-hot targets are deterministic, so nothing else bounds them."""
ALPHA_FLOOR = 2.0
"""α stays above this, where theory asks for 1: towards 1 the variance β/(α−1) grows without bound while
the density hardly changes, and heavy tails would pass for noise."""
BETA_FLOOR = 0.05
"""β stays above this: the loss has no floor when the scale may shrink to nothing."""

TEXT_LEAD = 1.0
"""Logit by which the text leads the other sources before training: they must earn their weight."""


class NIG(NamedTuple):
    """Parameters of Normal-Inverse-Gamma distributions, all of one shape."""

    delta: Tensor
    gamma: Tensor
    alpha: Tensor
    beta: Tensor

    @property
    def aleatoric(self) -> Tensor:
        """Expected noise of the data, β/(α−1)."""
        return self.beta / (self.alpha - 1)

    @property
    def epistemic(self) -> Tensor:
        """Variance of the mean, β/(γ(α−1))."""
        return self.beta / (self.gamma * (self.alpha - 1))

    @property
    def width(self) -> Tensor:
        """Scale of the predicted Student-t, √(β(1+γ)/(αγ)): aleatoric by Meinert et al. (AAAI 2023)."""
        return (self.beta * (1 + self.gamma) / (self.alpha * self.gamma)) ** 0.5

    @property
    def ignorance(self) -> Tensor:
        """1/√γ: epistemic by Meinert et al., since the loss does not tell γ from β."""
        return self.gamma**-0.5

    @property
    def evidence(self) -> Tensor:
        """Virtual observations γ + 2α (Meinert et al.)."""
        return self.gamma + 2 * self.alpha


def from_scores(scores: Tensor) -> NIG:
    """Parameters from unconstrained scores, with the caps of this module.

    Args:
        scores: (…, 4).

    Returns:
        Four tensors (…): δ = o₁, γ = softplus(o₂), α = floor + softplus(o₃), β = floor + softplus(o₄).
    """
    delta, gamma, alpha, beta = scores.unbind(-1)
    tiny = 1e-4  # γ divides
    return NIG(
        delta,
        _capped(softplus(gamma) + tiny, EVIDENCE_CAP),
        ALPHA_FLOOR + _capped(softplus(alpha), EVIDENCE_CAP - ALPHA_FLOOR),
        BETA_FLOOR + softplus(beta),
    )


def textbook(scores: Tensor) -> NIG:
    """Parameters from unconstrained scores as Amini et al. have them, γ and α capped.

    Args:
        scores: (…, 4).

    Returns:
        Four tensors (…): δ = o₁, γ = softplus(o₂), α = 1 + softplus(o₃), β = softplus(o₄).
    """
    delta, gamma, alpha, beta = scores.unbind(-1)
    tiny = 1e-6  # the logarithms of γ, α − 1 and β stay finite
    return NIG(
        delta,
        _capped(softplus(gamma) + tiny, EVIDENCE_CAP),
        1 + _capped(softplus(alpha) + tiny, EVIDENCE_CAP - 1),
        softplus(beta) + tiny,
    )


def _capped(value: Tensor, cap: float) -> Tensor:
    """A smooth upper bound that leaves small values nearly as they are and keeps a gradient."""
    return cap * torch.tanh(value / cap)


def nll(nig: NIG, target: Tensor) -> Tensor:
    """−log density of the target under the Student-t that the NIG predicts (may be negative)."""
    delta, gamma, alpha, beta = nig
    omega = 2 * beta * (1 + gamma)
    return (
        0.5 * (math.log(math.pi) - torch.log(gamma))
        - alpha * torch.log(omega)
        + (alpha + 0.5) * torch.log(gamma * (target - delta) ** 2 + omega)
        + torch.lgamma(alpha)
        - torch.lgamma(alpha + 0.5)
    )


def regulariser(nig: NIG, target: Tensor) -> Tensor:
    """Evidence claimed where the prediction is wrong: |y−δ|(2γ+α)."""
    return (target - nig.delta).abs() * (2 * nig.gamma + nig.alpha)


class Pooling(nn.Module):
    """Base of the rules that pool NIGs of several sources into one.

    A source that is masked is left out of every sum, counts included.

    Args:
        detach: whether disagreement and weights are measured only, and learn nothing from α and β.
    """

    def __init__(self, detach: bool = True) -> None:
        super().__init__()
        self.detach = detach

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool.

        Args:
            nig: parameters (B, M, W, K) of M sources.
            present: (B, M, 1, 1) 1 where the source is there, 0 where not; at least one is.
            words: (B, W, D) text states, for rules with learned weights.

        Returns:
            The pooled NIG (B, W, K) and each source's share (B, M, W, K) of δ.
        """
        raise NotImplementedError


def _weighted(nig: NIG, weight: Tensor, detach: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """γ and δ of the weighted sum, each source's share, and the disagreement that enters β.

    Disagreement is measured and not trained: to be surer of what training has settled, a model would
    bring its sources to say the same.
    """
    gammas = weight * nig.gamma
    gamma = gammas.sum(1)
    share = gammas / gamma.unsqueeze(1)
    delta = (share * nig.delta).sum(1)
    spread = 0.5 * (gammas * (nig.delta - delta.unsqueeze(1)) ** 2).sum(1)
    return gamma, delta, share, spread.detach() if detach else spread


class MoNIG(Pooling):
    """Summation of MoNIG (Eq. 9): γ = Σγₘ, α = Σαₘ + (M−1)/2, β = Σβₘ + ½Σγₘ(δₘ−δ)².

    It is a product of posteriors under the reference prior 1/σ²: it takes the sources as
    independent, and even a source that knows nothing makes it surer.
    """

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        gamma, delta, share, spread = _weighted(nig, present, self.detach)
        alpha = (present * nig.alpha).sum(1) + (present.sum(1) - 1) / 2
        beta = (present * nig.beta).sum(1) + spread
        return NIG(delta, gamma, alpha, beta), share


class PriorCorrected(Pooling):
    """As MoNIG with α = 1 + Σ(αₘ−1): a source without evidence (γ→0, α→1, β→0) changes nothing."""

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        gamma, delta, share, spread = _weighted(nig, present, self.detach)
        counted = self.counted(nig, present)
        alpha = 1 + (counted * (nig.alpha - 1)).sum(1)
        beta = (counted * nig.beta).sum(1) + spread
        return NIG(delta, gamma, alpha, beta), share

    def counted(self, nig: NIG, present: Tensor) -> Tensor:
        """How far α and β of each source count, 0 to 1, to be broadcast to (B, M, W, K)."""
        return present


class Discounted(PriorCorrected):
    """As the prior-corrected sum, each source discounted by how little it knows of its own mean.

    α = 1 + Σcₘ(αₘ−1), β = Σcₘβₘ + ½Σγₘ(δₘ−δ)² with cₘ = rₘ / max r and rₘ = γₘ/(1+γₘ), the part of the
    variance it predicts that is noise. In the sum that is not discounted a source with γ→0 still counts for α
    and β, which have floors here; so discounted it is as good as absent. A source alone keeps its NIG, and
    equally sure ones are summed in full.
    """

    def counted(self, nig: NIG, present: Tensor) -> Tensor:
        """cₘ (B, M, W, K); γ does not learn from it."""
        gamma = nig.gamma.detach() if self.detach else nig.gamma
        known = present * gamma / (1 + gamma)
        return known / known.amax(1, keepdim=True)


class LogLinear(Pooling):
    """Log-linear pool with weights wₘ ≥ 0, Σw = 1, learned from the word: counts nothing twice.

    γ = Σwₘγₘ, α = Σwₘαₘ, β = Σwₘβₘ + ½Σwₘγₘ(δₘ−δ)². Pooling equal NIGs gives them back. Weights learn
    from what they do to δ alone: through α and β they would go to the source that is surest.

    Args:
        width: D of the words' states.
        count: M.
    """

    def __init__(self, width: int, count: int, detach: bool = True) -> None:
        super().__init__(detach)
        self.weigh = nn.Linear(width, count)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)
        with torch.no_grad():
            self.weigh.bias[0] = TEXT_LEAD

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        scores = self.weigh(words).transpose(1, 2).unsqueeze(3)  # (B, M, W, 1)
        weight = torch.softmax(scores.masked_fill(present == 0, -1e4), 1) * present
        gamma, delta, share, spread = _weighted(nig, weight, self.detach)
        fixed = weight.detach() if self.detach else weight
        alpha, beta = (fixed * nig.alpha).sum(1), (fixed * nig.beta).sum(1) + spread
        return NIG(delta, gamma, alpha, beta), share
