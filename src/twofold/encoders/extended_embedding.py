"""An embedding of word pieces with separate rows for tokens that were added to a tokenizer.

The pretrained rows can then stay frozen while the new ones are trained.

Shapes: B posts, T word pieces, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExtendedEmbedding(nn.Module):
    """Two embeddings as one.

    Args:
        pretrained: the pretrained embedding.
        known: pieces with numbers below this have their row in it; it may have more rows than are used.
        added: number of new pieces, numbered from ``known`` on.
    """

    def __init__(self, pretrained: nn.Embedding, known: int, added: int) -> None:
        super().__init__()
        self.pretrained, self.known = pretrained, known
        self.added = nn.Embedding(added, pretrained.embedding_dim)
        with torch.no_grad():  # with the mean and standard deviation of the pretrained rows
            rows = pretrained.weight[:known]
            self.added.weight.copy_(rows.mean(0) + rows.std(0) * torch.randn_like(self.added.weight))

    @property
    def weight(self) -> Tensor:
        """All rows, (known + added, D)."""
        return torch.cat([self.pretrained.weight[: self.known], self.added.weight])

    def forward(self, pieces: Tensor) -> Tensor:
        """Rows (B, T, D) of pieces (B, T)."""
        new = pieces >= self.known
        old_rows: Tensor = self.pretrained(pieces.masked_fill(new, 0))
        new_rows: Tensor = self.added((pieces - self.known).clamp(min=0))
        return torch.where(new.unsqueeze(-1), new_rows, old_rows)
