"""A model: text encoder, word states, fusion and head, which are passed in.

With a CRF and one slot per word it is a tagger; with a softmax over classes and one slot per marked pair, a
relation classifier.

Shapes: B posts, T word pieces, W words, D width, S slots, P words in a slot, N elements of a modality, V its
width, F features of a convention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.encoders.text import TextEncoder
from twofold.fusion.contract import Fusion, FusionOutput, ModalityStates
from twofold.heads.contract import Head
from twofold.heads.crf import CRF, allowed_tags

WORDS = "words"
"""Name under which a batch may hold precomputed states of its words."""


class Batch(NamedTuple):
    """Posts as tensors.

    Attributes:
        input_ids: (B, T).
        attention_mask: (B, T).
        first_pieces: (B, W) position in T of the first piece of each word.
        case_features: (B, W) number of the case feature of each word.
        word_mask: (B, W) True where a word is real.
        targets: (B, S) gold tags or classes.
        target_mask: (B, S) True where a slot is real.
        slots: (B, S, P) words in each slot; None for one slot per word.
        texts: modalities that the text encoder encodes, by name: pieces (B, A) and their mask (B, A), all 0
            for a post without the modality.
        states: modalities that are encoded beforehand, by name; and, as `WORDS`, the words themselves where
            the text encoder is frozen.
        convention: (B, F) annotation convention of each post; None for a model without conventions.
        allowed: (B, W) for each word the tags that its annotation leaves open, as bits (1 << tag); None where
            all words are annotated.
        marginals: (B, W, K) probabilities of tags that a teacher gives, in place of the targets; None for
            annotated posts.
    """

    input_ids: Tensor
    attention_mask: Tensor
    first_pieces: Tensor
    case_features: Tensor
    word_mask: Tensor
    targets: Tensor
    target_mask: Tensor
    slots: Tensor | None
    texts: Mapping[str, tuple[Tensor, Tensor]]
    states: Mapping[str, ModalityStates]
    convention: Tensor | None = None
    allowed: Tensor | None = None
    marginals: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Move all tensors."""
        return Batch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            self.first_pieces.to(device),
            self.case_features.to(device),
            self.word_mask.to(device),
            self.targets.to(device),
            self.target_mask.to(device),
            None if self.slots is None else self.slots.to(device),
            {name: (ids.to(device), mask.to(device)) for name, (ids, mask) in self.texts.items()},
            {name: ModalityStates(x.states.to(device), x.mask.to(device)) for name, x in self.states.items()},
            None if self.convention is None else self.convention.to(device),
            None if self.allowed is None else self.allowed.to(device),
            None if self.marginals is None else self.marginals.to(device),
        )


class MultimodalModel(nn.Module):
    """Tagger or relation classifier over any modalities.

    Args:
        text: text encoder.
        fusion: fusion of the text and further modalities.
        head: CRF or softmax classifier; its labels are the model's.
        words: computes states of words from those of the encoder, a module of `word_states`.
        modality_dropout: probability that a modality of a post is left out in training, so that every subset
            of the modalities is learned.
    """

    def __init__(
        self, text: TextEncoder, fusion: Fusion, head: Head, words: nn.Module, modality_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.modality_dropout = modality_dropout
        self.text, self.fusion, self.head = text, fusion, head
        self.words = words

    def forward(self, batch: Batch) -> FusionOutput:
        """Encode and fuse a batch; see `FusionOutput`."""
        words = self.word_states(batch) * batch.word_mask.unsqueeze(2)  # (B, W, D)
        modalities = self._modalities(batch)
        with torch.autocast(words.device.type, enabled=False):  # evidence needs full precision
            return self.fuse(
                words, batch.case_features, batch.word_mask, modalities, batch.slots, batch.convention
            )

    def parts(self, batch: Batch) -> Sequence[tuple[MultimodalModel, Batch]]:
        """The models to train on a batch, each with its part of the batch; their losses are added."""
        return [(self, batch)]

    def word_states(self, batch: Batch) -> Tensor:
        """State of each word's first piece, (B, W, D), anything where masked."""
        if WORDS in batch.states:
            return batch.states[WORDS].states
        states = self.text(batch.input_ids, batch.attention_mask).float()  # (B, T, D)
        index = batch.first_pieces.unsqueeze(2).expand(-1, -1, states.shape[2])
        words: Tensor = states.gather(1, index)
        return words

    def fuse(
        self,
        words: Tensor,
        case_features: Tensor,
        mask: Tensor,
        modalities: Mapping[str, ModalityStates],
        slots: Tensor | None = None,
        convention: Tensor | None = None,
    ) -> FusionOutput:
        """The part after the encoders, as it is exported; arguments as in `Fusion.forward` and `Batch`."""
        states = self.words(words, case_features, mask, convention)
        output: FusionOutput = self.fusion(states, mask, modalities, slots)
        return output

    def _modalities(self, batch: Batch) -> dict[str, ModalityStates]:
        """Modalities of a batch, some left out in training, before texts are encoded."""
        wanted = self.fusion.modalities
        texts = {n: (ids, self._dropped(mask)) for n, (ids, mask) in batch.texts.items() if n in wanted}
        states = {
            n: ModalityStates(x.states, self._dropped(x.mask)) for n, x in batch.states.items() if n in wanted
        }
        return {name: self._encoded(*text) for name, text in texts.items()} | states

    def _dropped(self, mask: Tensor) -> Tensor:
        """The mask (B, ·) after modality dropout: in training, False throughout for some posts."""
        if not self.training:
            return mask
        return mask * (torch.rand(mask.shape[0], 1, device=mask.device) >= self.modality_dropout)

    @torch.no_grad()
    def _encoded(self, ids: Tensor, mask: Tensor) -> ModalityStates:
        """States (B, A, D) of a text modality, encoded only for posts with this modality."""
        rows = mask.any(1)
        states = ids.new_zeros((*ids.shape, self.text.width), dtype=torch.float32)
        if rows.any():  # no gradient and no dropout: fusions get the states of inference
            self.text.eval()
            encoded: Tensor = self.text(ids[rows], mask[rows]).float()
            self.text.train(self.training)
            states = states.index_copy(0, rows.nonzero().squeeze(1), encoded)
        return ModalityStates(states, mask.bool())

    def loss(self, output: FusionOutput, batch: Batch) -> Tensor:
        """Mean loss of the head over posts plus the auxiliary loss of the fusion, a scalar.

        Where a tag is unknown (`Batch.allowed`), the fusion learns the most probable of the tags that the
        gold annotation leaves open. From a teacher's marginals the head learns the whole distribution, the
        fusion the most probable tags.
        """
        if batch.marginals is not None:
            assert isinstance(self.head, CRF)
            nll: Tensor = self.head.distillation(output.emissions, batch.marginals, batch.target_mask)
            targets = batch.marginals.argmax(2)
            return nll.mean() + self.fusion.loss(output, targets, batch.target_mask)
        if batch.allowed is None:
            nll = self.head(output.emissions, batch.targets, batch.target_mask)
            return nll.mean() + self.fusion.loss(output, batch.targets, batch.target_mask)
        assert isinstance(self.head, CRF)
        allowed = allowed_tags(batch.allowed, len(self.head.labels))
        nll = self.head.partial(output.emissions, allowed, batch.target_mask)
        targets = output.emissions.detach().masked_fill(~allowed, -torch.inf).argmax(2)
        return nll.mean() + self.fusion.loss(output, targets, batch.target_mask)
