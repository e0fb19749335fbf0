"""A tagger and a relation classifier over one text encoder, trained together.

Each batch is of one of the two: one with slots is of pairs. Entities and relations share all of the encoder;
word states, fusion and head are each one's own. The tagger learns from a batch of pairs, too, that their
arguments are entities, where the batch says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from twofold.fusion.contract import ModalityStates
from twofold.models.multimodal import WORDS, Batch, MultimodalModel


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

    def parts(self, batch: Batch) -> Sequence[tuple[MultimodalModel, Batch]]:
        """See `MultimodalModel.parts`: the tagger alone learns from posts with tags, both learn from pairs,
        over one run of the encoder."""
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
