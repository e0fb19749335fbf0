"""A tagger and a relation classifier over one text encoder, trained together.

Each batch is for one of the two: a batch with slots holds pairs. Entities and relations share the whole
encoder; each has its own word states, fusion and head. From a batch of pairs with ``allowed`` tags, the
tagger also learns that their arguments are entities.
"""

from __future__ import annotations

from collections.abc import Sequence

from twofold.fusion.contract import ModalityStates
from twofold.models.multimodal import WORDS, Batch, MultimodalModel


class JointModel(MultimodalModel):
    """A tagger that contains a relation classifier.

    Args:
        tagger: its parts become those of this model.
        relations: relation classifier with the same text encoder.

    Attributes:
        relations: the relation classifier. The encoder is registered once, as the tagger's.
    """

    def __init__(self, tagger: MultimodalModel, relations: MultimodalModel) -> None:
        super().__init__(tagger.text, tagger.fusion, tagger.head, tagger.words, tagger.modality_dropout)
        assert relations.text is tagger.text
        del relations._modules["text"]
        object.__setattr__(relations, "text", tagger.text)
        self.relations = relations

    def parts(self, batch: Batch) -> Sequence[tuple[MultimodalModel, Batch]]:
        """See `MultimodalModel.parts`: the tagger alone learns from posts with tags; both learn from pairs,
        with one pass of the encoder."""
        if batch.slots is None:
            return [(self, batch)]
        if batch.allowed is None:
            return [(self.relations, batch)]
        words = ModalityStates(self.word_states(batch), batch.word_mask)
        pairs = batch._replace(states={**batch.states, WORDS: words}, convention=None, allowed=None)
        tags = pairs._replace(
            slots=None, target_mask=batch.word_mask, convention=batch.convention, allowed=batch.allowed
        )
        return [(self.relations, pairs), (self, tags)]
