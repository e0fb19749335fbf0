"""The auxiliary task of system B: entity spans without types. A CRF over tags without types.

It belongs to a fusion, which gives it states; fusions do not know heads, so it is built here.

Shapes: B posts, W words, D width, K tags with types.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.heads.crf import CRF

SPANS = ("O", "B-SPAN", "I-SPAN")


class SpanTask(nn.Module):
    """Predicts spans.

    Args:
        width: D.
        labels: names of the K tags, ``O``, ``B-X``, ``I-X``.
    """

    def __init__(self, width: int, labels: Sequence[str]) -> None:
        super().__init__()
        self.score = nn.Linear(width, len(SPANS))
        self.crf = CRF(SPANS)
        self.register_buffer(
            "without_type", torch.tensor(["OBI".index(x[0]) for x in labels]), persistent=False
        )

    def forward(self, states: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of the spans.

        Args:
            states: (B, W, D).
            targets: (B, W) gold tags with types, anything where masked.
            mask: (B, W) True where a word is real.

        Returns:
            (B,) nats per post.
        """
        spans = self.get_buffer("without_type")[targets.masked_fill(~mask, 0)]
        nats: Tensor = self.crf(self.score(states), spans, mask)
        return nats
