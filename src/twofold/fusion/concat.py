"""The baseline of early multimodal toolkits: one vector per modality, repeated at every slot.

Each modality is pooled to one vector, which is concatenated to the states of each slot; a linear layer scores
both. The vector is the same at every word, so it cannot distinguish words: it shifts all scores alike.

Shapes: B posts, W words, D width, N elements of a modality, V its width, H hidden size, S slots, P words in a
slot, K outputs, M modalities.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from twofold.fusion.contract import Fusion, FusionOutput, Modalities, ModalityStates, gather_slots


class PooledVector(nn.Module):
    """One vector per modality: the mean of its real elements, normalised and projected.

    Args:
        modality_width: V.
        hidden_size: H.
        dropout: dropout of the vector.
    """

    def __init__(self, modality_width: int, hidden_size: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(modality_width)
        self.project = nn.Sequential(nn.Linear(modality_width, hidden_size), nn.Tanh(), nn.Dropout(dropout))

    def forward(self, modality: ModalityStates) -> Tensor:
        """Pool (B, N, V) to (B, H); zeros for a post without the modality."""
        real = modality.mask.unsqueeze(2)  # (B, N, 1)
        total = modality.states.detach().masked_fill(~real, 0).sum(1)  # (B, V)
        mean = total / real.sum(1).clamp(min=1)
        vector: Tensor = self.project(self.norm(mean)) * real.any(1)
        return vector


class Concat(Fusion):
    """Emissions are a linear map of the states of a slot and one vector of each modality.

    The vector of an absent modality is zero, and the weights of all vectors start at zero: without any other
    modality, and before training, it is `text_only` with the same weights.

    Args:
        width: D.
        outputs: K.
        modality_widths: V of each modality besides the text, by name.
        slot_size: P.
        hidden_size: H.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        modality_widths: Mapping[str, int],
        slot_size: int = 1,
        hidden_size: int = 128,
    ) -> None:
        super().__init__()
        self.modalities = ("text", *modality_widths)
        self.hidden_size = hidden_size
        self.pools = nn.ModuleDict({n: PooledVector(v, hidden_size) for n, v in modality_widths.items()})
        self.score = nn.Linear(width * slot_size + hidden_size * len(modality_widths), outputs)
        with torch.no_grad():
            self.score.weight[:, width * slot_size :] = 0

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Score slots to emissions (B, S, K); see `Fusion.forward`."""
        states = gather_slots(words, slots)  # (B, S, P·D)
        absent = states.new_zeros(states.shape[0], self.hidden_size)
        vectors = [self.pools[n](modalities[n]) if n in modalities else absent for n in self.modalities[1:]]
        repeated = [vector.unsqueeze(1).expand(-1, states.shape[1], -1) for vector in vectors]
        # (B, S, P·D + (M−1)·H) -> (B, S, K)
        return FusionOutput(self.score(torch.cat([states, *repeated], 2)))
