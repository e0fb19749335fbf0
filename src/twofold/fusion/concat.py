"""The baseline of early multimodal toolkits: one vector a source, repeated at every slot.

Each source is pooled to one vector, which is set beside the states of each slot; a linear layer scores
both. The same vector stands at every word, so it cannot tell words apart, only tilt all of them alike.

Shapes: B posts, W words, D width, N elements of a source, V its width, H inner width, S slots, P words of a
slot, K outputs, M sources.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from twofold.fusion.contract import Fused, Fusion, Source, at_slots


class PooledVector(nn.Module):
    """One vector a source: the mean of its real elements, normalised and projected.

    Args:
        source_width: V.
        inner: H.
        dropout: of the vector.
    """

    def __init__(self, source_width: int, inner: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(source_width)
        self.project = nn.Sequential(nn.Linear(source_width, inner), nn.Tanh(), nn.Dropout(dropout))

    def forward(self, source: Source) -> Tensor:
        """Pool (B, N, V) to (B, H); zeros for a post without the source."""
        real = source.mask.unsqueeze(2)  # (B, N, 1)
        total = source.states.detach().masked_fill(~real, 0).sum(1)  # (B, V)
        mean = total / real.sum(1).clamp(min=1)
        vector: Tensor = self.project(self.norm(mean)) * real.any(1)
        return vector


class Concat(Fusion):
    """Emissions are a linear map of a slot's states beside one vector of each source.

    The vector of an absent source is zero, and the weights of all vectors start at zero: without any
    source, and before training, it is `text_only` with the same weights.

    Args:
        width: D.
        outputs: K.
        source_widths: V of each source besides the text, by name.
        places: P.
        inner: H.
    """

    def __init__(
        self, width: int, outputs: int, source_widths: Mapping[str, int], places: int = 1, inner: int = 128
    ) -> None:
        super().__init__()
        self.sources = ("text", *source_widths)
        self.inner = inner
        self.pools = nn.ModuleDict({n: PooledVector(v, inner) for n, v in source_widths.items()})
        self.score = nn.Linear(width * places + inner * len(source_widths), outputs)
        with torch.no_grad():
            self.score.weight[:, width * places :] = 0

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Score slots to emissions (B, S, K); see `Fusion.forward`."""
        states = at_slots(words, slots)  # (B, S, P·D)
        absent = states.new_zeros(states.shape[0], self.inner)
        vectors = [self.pools[n](sources[n]) if n in sources else absent for n in self.sources[1:]]
        repeated = [vector.unsqueeze(1).expand(-1, states.shape[1], -1) for vector in vectors]
        return Fused(self.score(torch.cat([states, *repeated], 2)))  # (B, S, P·D + (M−1)·H) -> (B, S, K)
