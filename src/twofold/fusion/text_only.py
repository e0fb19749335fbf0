"""The baseline every comparison needs: a linear layer on the text, no other source.

Shapes: B posts, W words, D width, K tags.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from twofold.fusion.contract import Fused, Fusion, Source


class TextOnly(Fusion):
    """Emissions are a linear map of the words' states.

    Args:
        width: D.
        outputs: K.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.sources = ("text",)
        self.score = nn.Linear(width, outputs)

    def forward(self, words: Tensor, mask: Tensor, sources: Mapping[str, Source]) -> Fused:
        """Score words (B, W, D) to emissions (B, W, K); the other sources are not looked at."""
        return Fused(self.score(words))
