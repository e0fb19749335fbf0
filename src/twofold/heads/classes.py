"""A class for each slot, on its own: softmax and cross-entropy, for relations.

Shapes: B posts, S slots, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from twofold.heads.contract import Head


class Classes(Head):
    """Softmax over classes.

    Args:
        labels: names of the K classes.
        weights: (K,) weight of each class in the loss; None for equal ones.
    """

    def __init__(self, labels: Sequence[str], weights: Tensor | None = None) -> None:
        super().__init__()
        self.labels = tuple(labels)
        given = torch.ones(len(labels)) if weights is None else weights
        self.register_buffer("weights", given.float(), persistent=False)

    def forward(self, emissions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Weighted cross-entropy (B,); see `Head.forward`."""
        targets = targets.masked_fill(~mask, 0)
        each = cross_entropy(
            emissions.float().transpose(1, 2), targets, self.get_buffer("weights"), reduction="none"
        )
        return (each * mask).sum(1)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best class of each slot; see `Head.decode`."""
        best = emissions.argmax(2)
        return [best[b, : int(n)].tolist() for b, n in enumerate(mask.sum(1))]
