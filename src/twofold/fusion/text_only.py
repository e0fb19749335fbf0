"""The baseline every comparison needs: a linear layer on the text, no other source.

Shapes: B posts, W words, D width, S slots, P words of a slot, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from twofold.fusion.contract import Fused, Fusion, Source, at_slots


class TextOnly(Fusion):
    """Emissions are a linear map of the slots' states.

    Args:
        width: D.
        outputs: K.
        places: P.
    """

    def __init__(self, width: int, outputs: int, places: int = 1) -> None:
        super().__init__()
        self.sources = ("text",)
        self.score = nn.Linear(width * places, outputs)

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Score words (B, W, D) to emissions (B, S, K); the other sources are not looked at."""
        return Fused(self.score(at_slots(words, slots)))
