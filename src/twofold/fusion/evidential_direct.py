"""System A, form ``direct``: one Normal-Inverse-Gamma (NIG) head per modality, on that modality's own states.

After "Integrating Large Pre-trained Models into Multimodal Named Entity Recognition with Evidential Fusion"
(arXiv 2306.16991). The architecture is RECONSTRUCTED only from what the works it builds on publish:
head and evidence loss of Amini et al., "Deep Evidential Regression" (NeurIPS 2020); summation, and the loss
of each modality *and* of the pooled NIG, of Ma et al., MoNIG (NeurIPS 2021, Eq. 9). All four parameters are
learned from states, α > 1 and β > 0 have no other floor, and no gradient is detached. γ and α stay below
`nig.EVIDENCE_CAP`, since one-hot targets bound neither. `evidential` is the form that departs from this one.

Shapes: B posts, W slots (the words of a tagger, the one pair of a relation), P words in a slot, D width of a
slot's states, V width of a modality, H hidden size, K outputs, M modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from twofold.fusion.attention import CrossAttention
from twofold.fusion.contract import Fusion, FusionOutput, Modalities, ModalityStates, gather_slots
from twofold.fusion.nig import (
    INITIAL_SCALE,
    NIG,
    SMALLEST,
    Pooling,
    absent_nig,
    evidence_loss,
    from_scores,
    nigs_of,
)


@dataclass(frozen=True, slots=True)
class DirectSettings:
    """Settings of the fusion.

    Attributes:
        hidden_size: H, size of the attention of a word to a modality.
        evidence_weight: λₑ, weight of the evidence loss.
        regulariser_weight: λ, weight of the penalty on evidence for wrong predictions; 0.01 in MoNIG.
    """

    hidden_size: int = 64
    evidence_weight: float = 1.0
    regulariser_weight: float = 0.01


class EvidentialDirect(Fusion):
    """Evidential fusion over any number of modalities, each of which may be absent.

    Args:
        width: D of the words.
        outputs: K.
        modality_widths: V of each modality besides the text, by name.
        pooling: rule that pools the NIGs of the modalities, for states of width P·D.
        slot_size: P.
        settings: sizes and weights.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        modality_widths: Mapping[str, int],
        pooling: Pooling,
        slot_size: int = 1,
        settings: DirectSettings | None = None,
    ) -> None:
        super().__init__()
        self.modalities = ("text", *modality_widths)
        self.outputs, self.pooling = outputs, pooling
        self.settings = settings or DirectSettings()
        width, hidden_size = width * slot_size, self.settings.hidden_size
        self.views = nn.ModuleDict(
            {n: CrossAttention(width, v, hidden_size) for n, v in modality_widths.items()}
        )
        self.heads = nn.ModuleDict(
            {n: nn.Linear(width if n == "text" else hidden_size, 4 * outputs) for n in self.modalities}
        )
        self.drop = nn.Dropout(0.1)
        self.scale = nn.Parameter(torch.tensor(INITIAL_SCALE))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Fuse; see `Fusion.forward`. Emissions are s·δ + b with a learned scale s; the share of a modality
        is its weight in the pooled δ."""
        words = gather_slots(words, slots)  # (B, W, P·D): each slot is treated as a word
        stacks = [self._evidence("text", words)]
        present = [torch.ones(words.shape[0], dtype=torch.bool, device=words.device)]
        for name in self.modalities[1:]:
            given = modalities.get(name)
            stacks.append(self._modality_evidence(name, words, given))
            present.append(torch.zeros_like(present[0]) if given is None else given.mask.any(1))
        evidence, presence = torch.stack(stacks, 1), torch.stack(present, 1)  # (B, M, 4, W, K), (B, M)
        pooled, share = self.pooling(
            NIG(*evidence.unbind(2)), presence[:, :, None, None].to(evidence.dtype), words
        )
        emissions = self.scale * pooled.delta + self.bias
        return FusionOutput(emissions, evidence, torch.stack(pooled, 1), share, presence)

    def _modality_evidence(self, name: str, words: Tensor, modality: ModalityStates | None) -> Tensor:
        """NIGs (B, 4, W, K) of a modality besides the text."""
        if modality is None:
            return absent_nig(words, self.outputs)
        return self._evidence(name, self.views[name](words, modality))

    def _evidence(self, name: str, states: Tensor) -> Tensor:
        """NIGs (B, 4, W, K) of a modality, all four parameters from its states (B, W, ·)."""
        scores = self.heads[name](self.drop(states)).unflatten(2, (self.outputs, 4))
        return torch.stack(from_scores(scores, alpha_floor=1 + SMALLEST, beta_floor=SMALLEST), 1)

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """λₑ · mean over slots and outputs of Σ over {modalities, pooled} (NLL + λR), one-hot targets."""
        weight = self.settings.regulariser_weight
        return self.settings.evidence_weight * evidence_loss(*nigs_of(output), targets, mask, weight)
