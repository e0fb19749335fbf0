"""A tagger: text encoder, case shapes, fusion, CRF. What varies is handed in.

Shapes: B posts, T word pieces, W words, D width, A pieces of an alt text, R regions, V region width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.encoders.text import TextEncoder
from twofold.fusion.contract import Fused, Fusion, Source
from twofold.heads.crf import CRF
from twofold.segmentation import SHAPE_COUNT


class Batch(NamedTuple):
    """Posts as tensors.

    Attributes:
        input_ids: (B, T). attention_mask: (B, T).
        first: (B, W) position in T of the first piece of each word.
        shapes: (B, W) case shapes.
        word_mask: (B, W) True where a word is real.
        tags: (B, W) gold tags.
        alt_ids: (B, A) pieces of alt texts. alt_mask: (B, A), 0 throughout for a post without one.
        regions: (B, R, V) picture features. picture_mask: (B, R) True where there is a picture.
    """

    input_ids: Tensor
    attention_mask: Tensor
    first: Tensor
    shapes: Tensor
    word_mask: Tensor
    tags: Tensor
    alt_ids: Tensor
    alt_mask: Tensor
    regions: Tensor
    picture_mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move all tensors."""
        return Batch(*(x.to(device) for x in self))


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


class Tagger(nn.Module):
    """Named-entity tagger over any sources.

    Args:
        text: text encoder.
        fusion: fusion over the text and further sources.
        crf: decoder; its labels are the model's.
    """

    def __init__(self, text: TextEncoder, fusion: Fusion, crf: CRF) -> None:
        super().__init__()
        self.text, self.fusion, self.crf = text, fusion, crf
        self.words = WordStates(text.width)

    def forward(self, batch: Batch) -> Fused:
        """Read a batch; see `Fused`."""
        states = self.text(batch.input_ids, batch.attention_mask).float()  # (B, T, D)
        index = batch.first.unsqueeze(2).expand(-1, -1, states.shape[2])
        words = states.gather(1, index) * batch.word_mask.unsqueeze(2)
        sources = self._sources(batch)
        with torch.autocast(words.device.type, enabled=False):  # small, and evidence wants full precision
            return self.fuse(words, batch.shapes, batch.word_mask, sources)

    def fuse(self, words: Tensor, shapes: Tensor, mask: Tensor, sources: dict[str, Source]) -> Fused:
        """The part behind the encoders, as it is exported; shapes as in `Fusion.forward`."""
        fused: Fused = self.fusion(self.words(words, shapes, mask), mask, sources)
        return fused

    def _sources(self, batch: Batch) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        if "picture" in self.fusion.sources:
            sources["picture"] = Source(batch.regions, batch.picture_mask)
        if "alt_text" in self.fusion.sources:
            sources["alt_text"] = Source(self._alt_states(batch), batch.alt_mask.bool())
        return sources

    @torch.no_grad()
    def _alt_states(self, batch: Batch) -> Tensor:
        """States of alt texts (B, A, D), encoded for the posts that have one."""
        rows = batch.alt_mask.any(1)
        states = batch.alt_ids.new_zeros((*batch.alt_ids.shape, self.text.width), dtype=torch.float32)
        if rows.any():  # no gradient and no dropout: fusions take these states as they are in use
            self.text.eval()
            read: Tensor = self.text(batch.alt_ids[rows], batch.alt_mask[rows]).float()
            self.text.train(self.training)
            states = states.index_copy(0, rows.nonzero().squeeze(1), read)
        return states

    def loss(self, fused: Fused, batch: Batch) -> Tensor:
        """Mean CRF loss a post plus the fusion's own auxiliary loss, a scalar."""
        likelihood: Tensor = self.crf(fused.emissions, batch.tags, batch.word_mask)
        return likelihood.mean() + self.fusion.loss(fused, batch.tags, batch.word_mask)
