"""The Normal-Inverse-Gamma distribution: head, evidence loss, uncertainties, and four ways to pool.

σ² ~ InvGamma(α, β), μ | σ² ~ N(δ, σ²/γ) with δ real, γ > 0, α > 1, β > 0.

After Amini et al., "Deep Evidential Regression" (NeurIPS 2020) for the parameters and the loss, Ma et al.,
MoNIG (NeurIPS 2021, Eq. 9) for the summation and the loss of all NIGs; the other three pooling rules are
derived here. The four parameters come from any scores (`from_scores`); the two forms differ in the scores:
`evidential_direct` learns all four from the states, `evidential` only γ.

Shapes: B posts, M modalities, W slots, D width of their states, K outputs, … any. A stack of NIGs is one
tensor with the four parameters on an axis of their own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from twofold.fusion.contract import FusionOutput

EVIDENCE_CAP = 20.0
"""γ and α stay below this: one-hot targets are deterministic, so nothing else bounds them."""
ALPHA_FLOOR = 2.0
"""α stays above this; theory requires 1. Towards 1 the variance β/(α−1) grows without bound while the density
hardly changes, so that heavy tails would be taken for noise."""
BETA_FLOOR = 0.05
"""β stays above this: the loss has no lower bound if the scale may shrink to zero."""
SMALLEST = 1e-6
"""Added to the theoretical bounds (α > 1, β > 0), so that single precision does not reach them."""

INITIAL_SCALE = 4.5
"""Initial value of the learned scale of emissions. A tagger trained by its CRF alone scores the right tag of
an easy word at about 4.5; with this scale that is δ = 1, the target."""
INITIAL_TEXT_LOGIT = 1.0
"""Logit by which the weight of the text exceeds that of other modalities before training."""


def absent_nig(words: Tensor, outputs: int) -> Tensor:
    """NIGs (B, 4, W, K) of an absent modality, for words (B, W, ·): masked, but finite."""
    return words.new_full((words.shape[0], 4, words.shape[1], outputs), 2.0)


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
    def student_t_scale(self) -> Tensor:
        """Scale of the predicted Student-t, √(β(1+γ)/(αγ)): aleatoric by Meinert et al. (AAAI 2023)."""
        return (self.beta * (1 + self.gamma) / (self.alpha * self.gamma)) ** 0.5

    @property
    def epistemic_proxy(self) -> Tensor:
        """1/√γ: epistemic by Meinert et al., since the loss does not identify γ and β separately."""
        return self.gamma**-0.5

    @property
    def evidence(self) -> Tensor:
        """Virtual observations γ + 2α (Meinert et al.)."""
        return self.gamma + 2 * self.alpha


def from_scores(scores: Tensor, alpha_floor: float = ALPHA_FLOOR, beta_floor: float = BETA_FLOOR) -> NIG:
    """Parameters from unconstrained scores, γ and α capped at `EVIDENCE_CAP`.

    Args:
        scores: (…, 4).
        alpha_floor: lower bound of α; theory requires 1.
        beta_floor: lower bound of β; theory requires 0.

    Returns:
        Four tensors (…): δ = o₁, γ = softplus(o₂), α = floor + softplus(o₃), β = floor + softplus(o₄).
    """
    delta, gamma, alpha, beta = scores.unbind(-1)
    smallest = 1e-4  # γ is a divisor
    return NIG(
        delta,
        _capped(softplus(gamma) + smallest, EVIDENCE_CAP),
        alpha_floor + _capped(softplus(alpha), EVIDENCE_CAP - alpha_floor),
        beta_floor + softplus(beta),
    )


def _capped(value: Tensor, cap: float) -> Tensor:
    """A smooth upper bound that hardly changes small values and keeps a gradient."""
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
    """Penalty on evidence for wrong predictions: |y−δ|(2γ+α)."""
    return (target - nig.delta).abs() * (2 * nig.gamma + nig.alpha)


def nigs_of(output: FusionOutput) -> tuple[NIG, NIG, Tensor]:
    """NIGs of each modality (B, M, W, K), the pooled ones (B, W, K), and which took part (B, M)."""
    assert output.evidence is not None
    assert output.pooled is not None
    assert output.present is not None
    return NIG(*output.evidence.unbind(2)), NIG(*output.pooled.unbind(1)), output.present


def evidence_loss(
    single: NIG, pooled: NIG, present: Tensor, targets: Tensor, mask: Tensor, regulariser_weight: float
) -> Tensor:
    """Mean over slots and outputs of Σ over {modalities, pooled} (NLL + λR), one-hot targets; a scalar.

    Args:
        single: (B, M, W, K) of each modality.
        pooled: (B, W, K).
        present: (B, M) True where a modality counts.
        targets: (B, W) gold outputs, anything where masked.
        mask: (B, W) True where a slot is real.
        regulariser_weight: λ.
    """

    def each(nig: NIG, target: Tensor) -> Tensor:
        return nll(nig, target) + regulariser_weight * regulariser(nig, target)

    outputs = pooled.delta.shape[2]
    target = one_hot(targets.masked_fill(~mask, 0), outputs).to(pooled.delta.dtype)  # (B, W, K)
    of_modalities = each(single, target.unsqueeze(1)) * present[:, :, None, None]
    total = (each(pooled, target) + of_modalities.sum(1)) * mask.unsqueeze(2)
    return total.sum() / (mask.sum() * outputs).clamp(min=1)


class Pooling(nn.Module):
    """Base of the rules that pool NIGs of several modalities into one.

    An absent modality is left out of every sum, counts included.

    Args:
        detached: whether no gradient flows from the confidence of the pooled NIG to the predictions of the
            modalities and to the pooling weights. Otherwise a model would make its modalities agree, or move
            the weights to the most confident one, to be more confident on the training data.
    """

    def __init__(self, detached: bool = True) -> None:
        super().__init__()
        self.detached = detached

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool.

        Args:
            nig: parameters (B, M, W, K) of M modalities.
            present: (B, M, 1, 1) 1 where the modality is present, 0 where not; at least one is.
            words: (B, W, D) text states, for rules with learned weights.

        Returns:
            The pooled NIG (B, W, K) and the weight (B, M, W, K) of each modality in δ.
        """
        raise NotImplementedError

    def _weighted(self, nig: NIG, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """γ and δ of the weighted sum, the weight of each modality in δ, the disagreement that enters β."""
        gammas = weight * nig.gamma
        gamma = gammas.sum(1)
        share = gammas / gamma.unsqueeze(1)
        delta = (share * nig.delta).sum(1)
        disagreement = 0.5 * (gammas * (nig.delta - delta.unsqueeze(1)) ** 2).sum(1)
        return gamma, delta, share, self._maybe_detached(disagreement)

    def _maybe_detached(self, value: Tensor) -> Tensor:
        """The value, without its gradient where the pooling is detached."""
        return value.detach() if self.detached else value


class MoNIG(Pooling):
    """Summation of MoNIG (Eq. 9): γ = Σγₘ, α = Σαₘ + (M−1)/2, β = Σβₘ + ½Σγₘ(δₘ−δ)².

    It is a product of posteriors under the reference prior 1/σ²: it assumes independent modalities, and even
    a modality without evidence makes the result more confident.
    """

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        gamma, delta, share, disagreement = self._weighted(nig, present)
        alpha = (present * nig.alpha).sum(1) + (present.sum(1) - 1) / 2
        beta = (present * nig.beta).sum(1) + disagreement
        return NIG(delta, gamma, alpha, beta), share


class PriorCorrected(Pooling):
    """As MoNIG with α = 1 + Σ(αₘ−1): a modality without evidence (γ→0, α→1, β→0) changes nothing."""

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        gamma, delta, share, disagreement = self._weighted(nig, present)
        discount = self.discount(nig, present)
        alpha = 1 + (discount * (nig.alpha - 1)).sum(1)
        beta = (discount * nig.beta).sum(1) + disagreement
        return NIG(delta, gamma, alpha, beta), share

    def discount(self, nig: NIG, present: Tensor) -> Tensor:
        """Weight, 0 to 1, of α and β of each modality, broadcastable to (B, M, W, K)."""
        return present


class Discounted(PriorCorrected):
    """As the prior-corrected sum, with each modality discounted by the uncertainty of its own mean.

    α = 1 + Σcₘ(αₘ−1), β = Σcₘβₘ + ½Σγₘ(δₘ−δ)² with cₘ = rₘ / max r and rₘ = γₘ/(1+γₘ), the share of noise in
    the variance that it predicts. In the sum without discount a modality with γ→0 still contributes to α and
    β, which have floors here; with it, that modality counts as absent. A single modality keeps its NIG, and
    modalities of equal γ are summed in full.
    """

    def discount(self, nig: NIG, present: Tensor) -> Tensor:
        """cₘ (B, M, W, K)."""
        gamma = self._maybe_detached(nig.gamma)
        noise_share = present * gamma / (1 + gamma)
        return noise_share / noise_share.amax(1, keepdim=True)


class LogLinear(Pooling):
    """Log-linear pool with weights wₘ ≥ 0, Σw = 1, learned from the word: no evidence is counted twice.

    γ = Σwₘγₘ, α = Σwₘαₘ, β = Σwₘβₘ + ½Σwₘγₘ(δₘ−δ)². Pooling equal NIGs gives them back.

    Args:
        width: D of the words' states.
        count: M.
        detached: see `Pooling`.
    """

    def __init__(self, width: int, count: int, detached: bool = True) -> None:
        super().__init__(detached)
        self.weight_scores = nn.Linear(width, count)
        nn.init.zeros_(self.weight_scores.weight)
        nn.init.zeros_(self.weight_scores.bias)
        with torch.no_grad():
            self.weight_scores.bias[0] = INITIAL_TEXT_LOGIT

    def forward(self, nig: NIG, present: Tensor, words: Tensor) -> tuple[NIG, Tensor]:
        """Pool (B, M, W, K) to (B, W, K); see `Pooling.forward`."""
        scores = self.weight_scores(words).transpose(1, 2).unsqueeze(3)  # (B, M, W, 1)
        weight = torch.softmax(scores.masked_fill(present == 0, -1e4), 1) * present
        gamma, delta, share, disagreement = self._weighted(nig, weight)
        fixed = self._maybe_detached(weight)
        alpha, beta = (fixed * nig.alpha).sum(1), (fixed * nig.beta).sum(1) + disagreement
        return NIG(delta, gamma, alpha, beta), share
