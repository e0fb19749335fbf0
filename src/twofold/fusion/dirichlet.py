"""Dirichlet evidential fusion: one Dirichlet over the outputs for each slot; modalities add up their
evidence.

A baseline for evidential fusion by Normal-Inverse-Gammas. Sensoy, Kaplan & Kandemir, "Evidential Deep
Learning to Quantify Classification Uncertainty" (NeurIPS 2018): evidence e ≥ 0 for each output, α = e + 1, S
= Σα; the loss is the expected cross-entropy under the Dirichlet (Eq. 4) plus an annealed KL that removes
evidence for wrong outputs. Their classifier has one input; the rest is RECONSTRUCTED: evidence of
several modalities is summed (the product of their posteriors with the uniform prior counted once), and
emissions of the CRF are s·log α + b, logits of the expected tag up to a constant.

Shapes: B posts, W slots, D width of a slot's states, N elements of a modality, V its width, H hidden size, K
outputs, … any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from twofold.fusion.attention import GatedCrossAttention
from twofold.fusion.contract import Fusion, FusionOutput, LossInputs, Modalities, ModalityStates, gather_slots

INITIAL_SCALE = 2.0
"""Initial value of the learned scale of emissions: with evidence 9, scores are those of a confident CRF."""


@dataclass(frozen=True, slots=True)
class DirichletSettings:
    """Settings of the fusion.

    Attributes:
        hidden_size: H, size of the attention of a word to a modality.
        loss_weight: weight of the whole loss, which is added to that of the head.
        kl_weight: weight of the KL, after its warm-up.
        warmup_steps: training steps in which the weight of the KL rises from 0: before the model can
            distinguish outputs, the KL would remove all evidence.
    """

    hidden_size: int = 64
    loss_weight: float = 1.0
    kl_weight: float = 1.0
    warmup_steps: int = 400


@dataclass(frozen=True)
class Concentrations(LossInputs):
    """Inputs of the loss.

    Attributes:
        alpha: (B, W, K) α.
    """

    alpha: Tensor


class Dirichlet(Fusion):
    """Dirichlet fusion over any number of modalities; an absent one adds no evidence.

    Args:
        width: D of the words.
        outputs: K.
        modality_widths: V of each modality besides the text, by name.
        slot_size: P, words in a slot.
        settings: sizes and weights.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        modality_widths: Mapping[str, int],
        slot_size: int = 1,
        settings: DirichletSettings | None = None,
    ) -> None:
        super().__init__()
        self.modalities = ("text", *modality_widths)
        self.outputs, self.settings = outputs, settings or DirichletSettings()
        width, hidden_size = width * slot_size, self.settings.hidden_size
        self.views = nn.ModuleDict(
            {n: GatedCrossAttention(width, v, hidden_size) for n, v in modality_widths.items()}
        )
        self.heads = nn.ModuleDict({"text": nn.Linear(width, outputs)})
        self.heads.update({n: _low_evidence_head(hidden_size, outputs) for n in modality_widths})
        self.drop = nn.Dropout(0.1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Fuse to emissions (B, W, K); see `Fusion.forward`."""
        words = gather_slots(words, slots)  # (B, W, P·D)
        evidence = softplus(self.heads["text"](self.drop(words)))  # (B, W, K)
        for name in self.modalities[1:]:
            if name in modalities:
                evidence = evidence + self._evidence(name, words, modalities[name])
        alpha = evidence + 1
        emissions = self.scale * torch.log(alpha) + self.bias
        return FusionOutput(emissions, loss_inputs=Concentrations(alpha))

    def _evidence(self, name: str, words: Tensor, modality: ModalityStates) -> Tensor:
        """Evidence (B, W, K) of a modality; 0 for a post without it."""
        view = self.views[name](words, modality)
        present = modality.mask.any(1)[:, None, None]
        evidence: Tensor = softplus(self.heads[name](self.drop(view))) * present
        return evidence

    def concentrations(self, output: FusionOutput) -> Tensor:
        """α (B, W, K) of the output of `forward`."""
        assert isinstance(output.loss_inputs, Concentrations)
        return output.loss_inputs.alpha

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """Mean over slots of the expected cross-entropy plus the annealed KL, one-hot targets."""
        alpha = self.concentrations(output)
        target = one_hot(targets.masked_fill(~mask, 0), self.outputs).to(alpha.dtype)
        wrong = target + (1 - target) * alpha  # evidence for the right output is kept
        kl_weight = self.settings.kl_weight * self._warm_up(self.settings.warmup_steps)
        each = expected_cross_entropy(alpha, target) + kl_weight * kl_to_uniform(wrong)
        return self.settings.loss_weight * (each * mask).sum() / mask.sum().clamp(min=1)


def _low_evidence_head(hidden_size: int, outputs: int) -> nn.Linear:
    """Scores of a modality besides the text, with an initial evidence of 0.05 for every output."""
    head = nn.Linear(hidden_size, outputs)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, -3.0)
    return head


# --- the distribution; α (…, K) throughout ---------------------------------------------------------------


def expected_cross_entropy(alpha: Tensor, target: Tensor) -> Tensor:
    """E[−log p_y] = ψ(S) − ψ(α_y) for one-hot targets (…, K); (…), nats."""
    total = alpha.sum(-1, keepdim=True)
    return (target * (torch.digamma(total) - torch.digamma(alpha))).sum(-1)


def kl_to_uniform(alpha: Tensor) -> Tensor:
    """KL(Dir(α) ‖ Dir(1)) = ln Γ(S) − ln Γ(K) − Σ ln Γ(α) + Σ (α−1)(ψ(α) − ψ(S)); (…), nats."""
    total = alpha.sum(-1, keepdim=True)
    shift = ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(total))).sum(-1)
    normaliser = torch.lgamma(total.squeeze(-1)) - torch.lgamma(alpha.new_tensor(alpha.shape[-1]))
    return normaliser - torch.lgamma(alpha).sum(-1) + shift


def vacuity(alpha: Tensor) -> Tensor:
    """K/S in (0, 1]: 1 without any evidence (…)."""
    return alpha.shape[-1] / alpha.sum(-1)


def entropy_of_mean(alpha: Tensor) -> Tensor:
    """Entropy of the expected output (…), nats: aleatoric and epistemic."""
    mean = alpha / alpha.sum(-1, keepdim=True)
    return -(mean * torch.log(mean)).sum(-1)


def mean_entropy(alpha: Tensor) -> Tensor:
    """E[H(p)] = −Σ α/S (ψ(α+1) − ψ(S+1)): entropy that remains if p is known (…), nats; aleatoric."""
    total = alpha.sum(-1, keepdim=True)
    return -(alpha / total * (torch.digamma(alpha + 1) - torch.digamma(total + 1))).sum(-1)


def mutual_information(alpha: Tensor) -> Tensor:
    """Mutual information of output and p, the difference of the two (…), nats, at least 0; epistemic."""
    return entropy_of_mean(alpha) - mean_entropy(alpha)
