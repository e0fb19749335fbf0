"""A tagger and a relation classifier over one text encoder, trained together.

Each batch is of one of the two: one with slots is of pairs. Entities and relations share all of the encoder;
word states, fusion and head are each one's own.
"""

from __future__ import annotations

from torch import Tensor

from twofold.fusion.contract import FusionOutput
from twofold.models.multimodal import Batch, MultimodalModel


class JointModel(MultimodalModel):
    """A tagger that holds a relation classifier.

    Args:
        tagger: its parts become those of this model.
        relations: with the same text encoder.

    Attributes:
        relations: the relation classifier. The encoder is registered once, as the tagger's.
    """

    def __init__(self, tagger: MultimodalModel, relations: MultimodalModel) -> None:
        super().__init__(tagger.text, tagger.fusion, tagger.head, tagger.words, tagger.modality_dropout)
        assert relations.text is tagger.text
        del relations._modules["text"]
        object.__setattr__(relations, "text", tagger.text)
        self.relations = relations

    def forward(self, batch: Batch) -> FusionOutput:
        """See `MultimodalModel.forward`."""
        output: FusionOutput = super().forward(batch) if batch.slots is None else self.relations(batch)
        return output

    def loss(self, output: FusionOutput, batch: Batch) -> Tensor:
        """See `MultimodalModel.loss`."""
        return super().loss(output, batch) if batch.slots is None else self.relations.loss(output, batch)
