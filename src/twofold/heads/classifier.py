"""Independent classification of each slot: softmax and cross-entropy, for relations.

Shapes: B posts, S slots, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from twofold.heads.class_losses import ClassLoss
from twofold.heads.contract import Head


class SoftmaxClassifier(Head):
    """Softmax over classes.

    Args:
        labels: names of the K classes.
        loss: the loss of a slot.
    """

    def __init__(self, labels: Sequence[str], loss: ClassLoss) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.loss = loss

    def forward(self, emissions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Cross-entropy (B,); see `Head.forward`."""
        each: Tensor = self.loss(emissions.float(), targets.masked_fill(~mask, 0))
        return (each * mask).sum(1)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best class of each slot; see `Head.decode`."""
        best = emissions.argmax(2)
        return [best[b, : int(n)].tolist() for b, n in enumerate(mask.sum(1))]
