"""The interface of heads: emissions of slots in, a loss or a decision out.

Shapes: B posts, S slots, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


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
            (B,) nats per post; 0 for a post without slots.
        """
        raise NotImplementedError

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best outputs of each post, one for each slot."""
        raise NotImplementedError
