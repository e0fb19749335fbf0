"""What every fusion takes and gives.

Shapes: B posts, W words, D width, N elements of a source, V its width, K outputs (tags), M sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Source(NamedTuple):
    """One source besides the text.

    Attributes:
        states: (B, N, V), anything where masked.
        mask: (B, N) True where something real is; a post without the source has no True at all.
    """

    states: Tensor
    mask: Tensor


class Fused(NamedTuple):
    """What a fusion gives.

    Attributes:
        emissions: (B, W, K) scores for the head.
        evidence: (B, M, 4, W, K) δ, γ, α, β of each source, text first; None without evidence.
        fused: (B, 4, W, K) δ, γ, α, β after pooling; None without evidence.
        share: (B, M, W, K) part of each source in the pooled δ, sums to 1; None without evidence.
        present: (B, M) True where the source took part; None without evidence.
    """

    emissions: Tensor
    evidence: Tensor | None = None
    fused: Tensor | None = None
    share: Tensor | None = None
    present: Tensor | None = None


class Fusion(nn.Module):
    """Base of all fusions.

    Attributes:
        sources: names of the sources in the order of M, ``text`` first.
    """

    sources: Sequence[str]

    def forward(self, words: Tensor, mask: Tensor, sources: Mapping[str, Source]) -> Fused:
        """Fuse.

        Args:
            words: (B, W, D) text states of the words.
            mask: (B, W) True where a word is real.
            sources: further sources by name; one that is not named counts as absent.
        """
        raise NotImplementedError

    def loss(self, fused: Fused, tags: Tensor, mask: Tensor) -> Tensor:
        """Auxiliary loss of the method, a scalar; 0 for methods that have none.

        Args:
            fused: what `forward` gave.
            tags: (B, W) gold tags, anything where masked.
            mask: (B, W) True where a word is real.
        """
        return fused.emissions.new_zeros(())
