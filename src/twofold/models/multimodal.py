"""A model: text encoder, case shapes, fusion, head. What varies is handed in.

With a CRF and a slot a word it is a tagger; with a softmax over classes and one slot a marked pair, a
relation classifier.

Shapes: B posts, T word pieces, W words, D width, S slots, P words of a slot, N elements of a source,
V its width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.encoders.text import TextEncoder
from twofold.fusion.contract import Fused, Fusion, Source
from twofold.heads.contract import Head
from twofold.preprocessing.segmentation import SHAPE_COUNT

WORDS = "words"
"""Name by which a batch may hold the states of its words."""


class Batch(NamedTuple):
    """Posts as tensors.

    Attributes:
        input_ids: (B, T). attention_mask: (B, T).
        first: (B, W) position in T of the first piece of each word.
        shapes: (B, W) case shapes.
        word_mask: (B, W) True where a word is real.
        targets: (B, S) gold tags or classes. target_mask: (B, S) True where a slot is real.
        slots: (B, S, P) words of each slot; None for a slot a word.
        texts: sources that the text encoder reads, by name: pieces (B, A) and their mask (B, A), 0
            throughout for a post without the source.
        arrays: sources that come as states, by name; and, by `WORDS`, the words themselves where the
            text encoder is not trained and its states were computed beforehand.
    """

    input_ids: Tensor
    attention_mask: Tensor
    first: Tensor
    shapes: Tensor
    word_mask: Tensor
    targets: Tensor
    target_mask: Tensor
    slots: Tensor | None
    texts: Mapping[str, tuple[Tensor, Tensor]]
    arrays: Mapping[str, Source]

    def to(self, device: torch.device) -> Batch:
        """Move all tensors."""
        return Batch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            self.first.to(device),
            self.shapes.to(device),
            self.word_mask.to(device),
            self.targets.to(device),
            self.target_mask.to(device),
            None if self.slots is None else self.slots.to(device),
            {name: (ids.to(device), mask.to(device)) for name, (ids, mask) in self.texts.items()},
            {name: Source(x.states.to(device), x.mask.to(device)) for name, x in self.arrays.items()},
        )


class WordStates(nn.Module):
    """States of words: the encoder's at their first pieces, joined with how words are written.

    An uncased encoder cannot tell "Apple" from "apple"; the case shapes of a word and of its
    neighbours can. Posts that link and posts that do not are joined by weights of their own: the
    public corpora were annotated by different rules, and this is what tells them apart.

    Args:
        width: D.
        inner: width of the embedding of case shapes.
        reach: words that a shape's convolution spans.
    """

    def __init__(self, width: int, inner: int = 64, reach: int = 5, dropout: float = 0.2) -> None:
        super().__init__()
        self.embed = nn.Embedding(SHAPE_COUNT, inner)
        self.around = nn.Conv1d(inner, inner, reach, padding=reach // 2)
        self.join = nn.Sequential(nn.Linear(width + inner, width), nn.GELU())
        self.join_linked = nn.Sequential(nn.Linear(width + inner, width), nn.GELU())
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, states: Tensor, shapes: Tensor, mask: Tensor) -> Tensor:
        """Join states (B, W, D) with shapes (B, W); mask (B, W). Returns (B, W, D)."""
        written = self.embed(shapes) * mask.unsqueeze(2)
        written = written + torch.relu(self.around(written.transpose(1, 2))).transpose(1, 2)
        both = torch.cat([self.drop(states), written], 2)
        linked = (shapes >= SHAPE_COUNT // 2).unsqueeze(2)  # (B, W, 1)
        added = torch.where(linked, self.join_linked(both), self.join(both))
        joined: Tensor = self.drop(self.norm(states + added))
        return joined


class MultimodalModel(nn.Module):
    """Tagger or relation classifier over any sources.

    Args:
        text: text encoder.
        fusion: fusion over the text and further sources.
        head: CRF or classes; its labels are the model's.
        source_dropout: chance that a source of a post is left out in training, so that every subset
            of the sources is learned.
    """

    def __init__(self, text: TextEncoder, fusion: Fusion, head: Head, source_dropout: float = 0.0) -> None:
        super().__init__()
        self.source_dropout = source_dropout
        self.text, self.fusion, self.head = text, fusion, head
        self.words = WordStates(text.width)

    def forward(self, batch: Batch) -> Fused:
        """Read a batch; see `Fused`."""
        words = self._word_states(batch) * batch.word_mask.unsqueeze(2)  # (B, W, D)
        sources = self._sources(batch)
        with torch.autocast(words.device.type, enabled=False):  # small, and evidence wants full precision
            return self.fuse(words, batch.shapes, batch.word_mask, sources, batch.slots)

    def _word_states(self, batch: Batch) -> Tensor:
        """State of each word's first piece, (B, W, D), anything where masked."""
        if WORDS in batch.arrays:
            return batch.arrays[WORDS].states
        states = self.text(batch.input_ids, batch.attention_mask).float()  # (B, T, D)
        index = batch.first.unsqueeze(2).expand(-1, -1, states.shape[2])
        words: Tensor = states.gather(1, index)
        return words

    def fuse(
        self,
        words: Tensor,
        shapes: Tensor,
        mask: Tensor,
        sources: Mapping[str, Source],
        slots: Tensor | None = None,
    ) -> Fused:
        """The part behind the encoders, as it is exported; shapes as in `Fusion.forward`."""
        fused: Fused = self.fusion(self.words(words, shapes, mask), mask, sources, slots)
        return fused

    def _sources(self, batch: Batch) -> dict[str, Source]:
        """Sources of a batch, some left out in training: before they are read, which is then saved."""
        wanted = self.fusion.sources
        texts = {name: (ids, self._kept(mask)) for name, (ids, mask) in batch.texts.items() if name in wanted}
        arrays = {
            name: Source(x.states, self._kept(x.mask)) for name, x in batch.arrays.items() if name in wanted
        }
        return {name: self._read(*text) for name, text in texts.items()} | arrays

    def _kept(self, mask: Tensor) -> Tensor:
        if not self.training:
            return mask
        return mask * (torch.rand(mask.shape[0], 1, device=mask.device) >= self.source_dropout)

    @torch.no_grad()
    def _read(self, ids: Tensor, mask: Tensor) -> Source:
        """States (B, A, D) of a source that is text, encoded for the posts that have it."""
        rows = mask.any(1)
        states = ids.new_zeros((*ids.shape, self.text.width), dtype=torch.float32)
        if rows.any():  # no gradient and no dropout: fusions take these states as they are in use
            self.text.eval()
            read: Tensor = self.text(ids[rows], mask[rows]).float()
            self.text.train(self.training)
            states = states.index_copy(0, rows.nonzero().squeeze(1), read)
        return Source(states, mask.bool())

    def loss(self, fused: Fused, batch: Batch) -> Tensor:
        """Mean loss of the head a post plus the fusion's own auxiliary loss, a scalar."""
        likelihood: Tensor = self.head(fused.emissions, batch.targets, batch.target_mask)
        return likelihood.mean() + self.fusion.loss(fused, batch.targets, batch.target_mask)
