"""What every fusion takes and gives.

A fusion reads the words of a post beside its other sources and scores *slots*. A tagger has a slot a
word; a relation classifier has one slot, made of the words that mark head and tail.

Shapes: B posts, W words, D width, N elements of a source, V its width, S slots, P words that make up
a slot, K outputs (tags or classes), M sources.
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
        emissions: (B, S, K) scores for the head.
        evidence: (B, M, 4, S, K) δ, γ, α, β of each source, text first; None without evidence.
        fused: (B, 4, S, K) δ, γ, α, β after pooling; None without evidence.
        share: (B, M, S, K) part of each source in the pooled δ, sums to 1; None without evidence.
        present: (B, M) True where the source took part; None without evidence.
        internal: what the fusion's own loss needs; nobody else looks at it.
    """

    emissions: Tensor
    evidence: Tensor | None = None
    fused: Tensor | None = None
    share: Tensor | None = None
    present: Tensor | None = None
    internal: tuple[Tensor, ...] = ()


class Fusion(nn.Module):
    """Base of all fusions.

    Attributes:
        sources: names of the sources in the order of M, ``text`` first.
        exchanges_pictures: whether wrong pictures are shown in training; see `know_blanks`.
    """

    sources: Sequence[str]
    exchanges_pictures: bool = False

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Fuse.

        Args:
            words: (B, W, D) text states of the words.
            mask: (B, W) True where a word is real.
            sources: further sources by name; one that is not named counts as absent.
            slots: (B, S, P) the words that make up each slot; None for a slot a word (S = W, P = 1).
        """
        raise NotImplementedError

    def know_blanks(self, states: Mapping[str, Tensor]) -> None:
        """Learn, before training, how pictures look that show nothing; for fusions that exchange pictures.

        Args:
            states: (C, N, V) of C such pictures, by source.
        """

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """Auxiliary loss of the method, a scalar; 0 for methods that have none.

        Args:
            fused: what `forward` gave.
            targets: (B, S) gold tags or classes, anything where masked.
            mask: (B, S) True where a slot is real.
        """
        return fused.emissions.new_zeros(())


def at_slots(states: Tensor, slots: Tensor | None) -> Tensor:
    """States of slots: those of the words that make one up, side by side.

    Args:
        states: (B, W, D).
        slots: (B, S, P), see `Fusion.forward`; None gives the states back.

    Returns:
        (B, S, P·D).
    """
    if slots is None:
        return states
    index = slots.flatten(1).unsqueeze(2).expand(-1, -1, states.shape[2])  # (B, S·P, D)
    gathered: Tensor = states.gather(1, index)
    side_by_side: Tensor = gathered.unflatten(1, slots.shape[1:]).flatten(2)
    return side_by_side
