"""What every head takes and gives: emissions of slots in, a loss or a decision out.

Shapes: B posts, S slots, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Teaching(NamedTuple):
    """What teachers think of the slots, in place of gold or beside it.

    Attributes:
        outputs: (B, S, K) probability of each output of each slot; 0 where masked.
        moves: (B, S−1, K, K) probability of each pair of outputs of neighbouring slots, from-to.
    """

    outputs: Tensor
    moves: Tensor


class Head(nn.Module):
    """Base of all heads.

    Attributes:
        labels: names of the K outputs.
    """

    labels: Sequence[str]

    def forward(self, emissions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood.

        Args:
            emissions: (B, S, K).
            targets: (B, S), anything where masked.
            mask: (B, S) True where a slot is real; real slots come first.

        Returns:
            (B,) nats a post; 0 for a post without slots.
        """
        raise NotImplementedError

    def distil(self, emissions: Tensor, teaching: Teaching, mask: Tensor) -> Tensor:
        """Cross-entropy of this head's distribution under the teachers', as `forward` under gold.

        Args:
            emissions: (B, S, K).
            teaching: of these posts.
            mask: (B, S).

        Returns:
            (B,) nats a post; smallest where both distributions are equal.
        """
        raise NotImplementedError

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best outputs of each post, as many as the post has slots."""
        raise NotImplementedError
