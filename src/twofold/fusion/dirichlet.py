"""Dirichlet evidential fusion: for each slot one Dirichlet over the outputs, whose evidence sources add up.

The method that evidential fusion by Normal-Inverse-Gammas has to be compared with. Sensoy, Kaplan &
Kandemir, "Evidential Deep Learning to Quantify Classification Uncertainty" (NeurIPS 2018): evidence
e ≥ 0 for each output, α = e + 1, S = Σα; loss is the expected cross-entropy under the Dirichlet (Eq. 4) plus
an annealed KL that takes evidence off wrong outputs. Theirs is a classifier of one input; the rest is
RECONSTRUCTED: evidence of several sources is summed (the product of their posteriors with the uniform
prior counted once), and emissions of the CRF are s·log α + b, logits of the expected tag up to a constant.

Shapes: B posts, W slots, D width of a slot's states, N elements of a source, V its width, H inner width, K
outputs, … any.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from twofold.fusion.attention import SourceView
from twofold.fusion.contract import Fused, Fusion, Source, at_slots

SCALE = 2.0
"""Where the learned scale of emissions starts: evidence 9 then scores as a CRF alone does when it is sure."""


class Dirichlet(Fusion):
    """Dirichlet fusion over any number of sources; one that is absent adds no evidence.

    Args:
        width: D of the words.
        outputs: K.
        source_widths: V of each source besides the text, by name.
        places: P, words that make up a slot.
        inner: H, width of a source's view.
        weight: of the whole loss beside the CRF's.
        divergence_weight: of the KL, once it has risen.
        warmup: training steps over which the KL rises from 0: before the outputs are told apart it would
            take all evidence away.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        source_widths: Mapping[str, int],
        *,
        places: int = 1,
        inner: int = 64,
        weight: float = 1.0,
        divergence_weight: float = 1.0,
        warmup: int = 400,
    ) -> None:
        super().__init__()
        self.sources = ("text", *source_widths)
        width *= places
        self.outputs = outputs
        self.weight, self.divergence_weight, self.warmup = weight, divergence_weight, warmup
        self.views = nn.ModuleDict({n: SourceView(width, v, inner) for n, v in source_widths.items()})
        self.heads = nn.ModuleDict({"text": nn.Linear(width, outputs)})
        self.heads.update({n: _little_evidence(inner, outputs) for n in source_widths})
        self.drop = nn.Dropout(0.1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Fuse to emissions (B, W, K); see `Fusion.forward`."""
        words = at_slots(words, slots)  # (B, W, P·D)
        evidence = softplus(self.heads["text"](self.drop(words)))  # (B, W, K)
        for name in self.sources[1:]:
            if name in sources:
                evidence = evidence + self._seen(name, words, sources[name])
        alpha = evidence + 1
        return Fused(self.scale * torch.log(alpha) + self.bias, internal=(alpha,))

    def _seen(self, name: str, words: Tensor, source: Source) -> Tensor:
        """Evidence (B, W, K) of a source; 0 for a post without it."""
        view = self.views[name](words, source)
        there = source.mask.any(1)[:, None, None]
        evidence: Tensor = softplus(self.heads[name](self.drop(view))) * there
        return evidence

    def concentrations(self, fused: Fused) -> Tensor:
        """α (B, W, K) of what `forward` gave."""
        return fused.internal[0]

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """Mean over slots of the expected cross-entropy plus the annealed KL, one-hot targets."""
        alpha = self.concentrations(fused)
        target = one_hot(targets.masked_fill(~mask, 0), self.outputs).to(alpha.dtype)
        wrong = target + (1 - target) * alpha  # the evidence for the right output is left alone
        each = expected_cross_entropy(alpha, target) + self._annealed() * divergence_from_uniform(wrong)
        return self.weight * (each * mask).sum() / mask.sum().clamp(min=1)

    def _annealed(self) -> float:
        steps = self.get_buffer("steps")
        if self.training:
            steps += 1
        return self.divergence_weight * min(1.0, int(steps) / max(1, self.warmup))


def _little_evidence(inner: int, outputs: int) -> nn.Linear:
    """Scores of a source besides the text, which begins with evidence 0.05 for every output."""
    head = nn.Linear(inner, outputs)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, -3.0)
    return head


# --- the distribution; α (…, K) throughout ---------------------------------------------------------------


def expected_cross_entropy(alpha: Tensor, target: Tensor) -> Tensor:
    """E[−log p_y] = ψ(S) − ψ(α_y) for one-hot targets (…, K); (…), nats."""
    total = alpha.sum(-1, keepdim=True)
    return (target * (torch.digamma(total) - torch.digamma(alpha))).sum(-1)


def divergence_from_uniform(alpha: Tensor) -> Tensor:
    """KL(Dir(α) ‖ Dir(1)) = ln Γ(S) − ln Γ(K) − Σ ln Γ(α) + Σ (α−1)(ψ(α) − ψ(S)); (…), nats."""
    total = alpha.sum(-1, keepdim=True)
    moved = ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(total))).sum(-1)
    size = torch.lgamma(total.squeeze(-1)) - torch.lgamma(alpha.new_tensor(alpha.shape[-1]))
    return size - torch.lgamma(alpha).sum(-1) + moved


def vacuity(alpha: Tensor) -> Tensor:
    """K/S in (0, 1]: 1 without any evidence (…)."""
    return alpha.shape[-1] / alpha.sum(-1)


def entropy_of_mean(alpha: Tensor) -> Tensor:
    """Entropy of the expected output (…), nats: aleatoric and epistemic together."""
    mean = alpha / alpha.sum(-1, keepdim=True)
    return -(mean * torch.log(mean)).sum(-1)


def mean_entropy(alpha: Tensor) -> Tensor:
    """E[H(p)] = −Σ α/S (ψ(α+1) − ψ(S+1)): what is left if p were known (…), nats; aleatoric."""
    total = alpha.sum(-1, keepdim=True)
    return -(alpha / total * (torch.digamma(alpha + 1) - torch.digamma(total + 1))).sum(-1)


def mutual_information(alpha: Tensor) -> Tensor:
    """Between output and p, the difference of the two (…), nats, at least 0; epistemic."""
    return entropy_of_mean(alpha) - mean_entropy(alpha)
