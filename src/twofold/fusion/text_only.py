"""The baseline of every comparison: a linear layer on the text, without any other modality.

Shapes: B posts, W words, D width, S slots, P words in a slot, K outputs.
"""

from __future__ import annotations

from torch import Tensor, nn

from twofold.fusion.contract import Fusion, FusionOutput, Modalities, gather_slots


class TextOnly(Fusion):
    """Emissions are a linear map of the states of slots.

    Args:
        width: D.
        outputs: K.
        slot_size: P.
    """

    def __init__(self, width: int, outputs: int, slot_size: int = 1) -> None:
        super().__init__()
        self.modalities = ("text",)
        self.score = nn.Linear(width * slot_size, outputs)

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Score words (B, W, D) to emissions (B, S, K); other modalities are ignored."""
        return FusionOutput(self.score(gather_slots(words, slots)))
