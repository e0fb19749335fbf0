"""States of words, from the text encoder's states at their first pieces.

Shapes: B posts, W words, D width, F features of a convention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold.conventions import RULES
from twofold.preprocessing.segmentation import CASE_FEATURE_COUNT


class PlainWords(nn.Module):
    """The states of the encoder, unchanged."""

    def forward(
        self, states: Tensor, case_features: Tensor, mask: Tensor, convention: Tensor | None = None
    ) -> Tensor:
        """States (B, W, D); the other arguments of `CaseFeatures.forward` are not used."""
        return states


class CaseFeatures(nn.Module):
    """States of words: those of the encoder at their first pieces, combined with case features.

    An uncased encoder cannot distinguish "Apple" from "apple"; the case features of a word and of its
    neighbours can. How they are combined depends on the annotation convention (ours): each of its features
    that holds adds a low-rank map.

    Args:
        width: D.
        conventions: F; 0 for a model without conventions.
        hidden_size: size of the embedding of case features.
        kernel_size: words that the convolution over case features spans.
        dropout: of the encoder's states and of the result.
        rank: rank of the map of each feature of a convention.
        corpus_dropout: probability that the corpus of a post is left out of its convention in training, so
            that the model also works without it.
    """

    def __init__(
        self,
        width: int,
        conventions: int = 0,
        hidden_size: int = 64,
        kernel_size: int = 5,
        dropout: float = 0.2,
        rank: int = 16,
        corpus_dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.rank, self.corpus_dropout = rank, corpus_dropout
        self.embed = nn.Embedding(CASE_FEATURE_COUNT, hidden_size)
        self.convolution = nn.Conv1d(hidden_size, hidden_size, kernel_size, padding=kernel_size // 2)
        self.combine = nn.Linear(width + hidden_size, width)
        if conventions:
            self.down = nn.Linear(width + hidden_size, conventions * rank)
            self.up = nn.Linear(conventions * rank, width, bias=False)
            self.shift = nn.Linear(conventions, width, bias=False)
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.shift.weight)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, states: Tensor, case_features: Tensor, mask: Tensor, convention: Tensor | None = None
    ) -> Tensor:
        """Combine states (B, W, D) with case features (B, W); mask (B, W), convention (B, F).

        Returns:
            (B, W, D).
        """
        case = self.embed(case_features) * mask.unsqueeze(2)
        case = case + torch.relu(self.convolution(case.transpose(1, 2))).transpose(1, 2)
        both = torch.cat([self.drop(states), case], 2)
        added = self.combine(both)
        if convention is not None:
            convention = self._drop_corpora(convention)
            active = convention.repeat_interleave(self.rank, 1).unsqueeze(1)  # (B, 1, F·rank)
            added = added + self.up(self.down(both) * active) + self.shift(convention).unsqueeze(1)
        joined: Tensor = self.drop(self.norm(states + nn.functional.gelu(added)))
        return joined

    def _drop_corpora(self, convention: Tensor) -> Tensor:
        if not self.training:
            return convention
        kept = torch.rand(convention.shape[0], 1, device=convention.device) >= self.corpus_dropout
        return torch.cat([convention[:, : len(RULES)], convention[:, len(RULES) :] * kept], 1)
