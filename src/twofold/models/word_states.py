"""States of words, from the text encoder's states at their first pieces.

Shapes: B posts, W words, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from twofold.preprocessing.segmentation import CASE_FEATURE_COUNT


class PlainWords(nn.Module):
    """The states of the encoder, as they are."""

    def forward(self, states: Tensor, case_features: Tensor, mask: Tensor) -> Tensor:
        """States (B, W, D); the case features (B, W) and the mask (B, W) are not used."""
        return states


class CaseFeatures(nn.Module):
    """States of words: those of the encoder at their first pieces, combined with case features.

    An uncased encoder cannot distinguish "Apple" from "apple"; the case features of a word and of its
    neighbours can. Posts with a web link and posts without are combined by different weights: the public
    corpora follow different annotation guidelines, and links distinguish them.

    Args:
        width: D.
        hidden_size: size of the embedding of case features.
        kernel_size: words that the convolution over case features spans.
        dropout: of the encoder's states and of the result.
    """

    def __init__(self, width: int, hidden_size: int = 64, kernel_size: int = 5, dropout: float = 0.2) -> None:
        super().__init__()
        self.embed = nn.Embedding(CASE_FEATURE_COUNT, hidden_size)
        self.convolution = nn.Conv1d(hidden_size, hidden_size, kernel_size, padding=kernel_size // 2)
        self.combine = nn.Sequential(nn.Linear(width + hidden_size, width), nn.GELU())
        self.combine_with_link = nn.Sequential(nn.Linear(width + hidden_size, width), nn.GELU())
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, states: Tensor, case_features: Tensor, mask: Tensor) -> Tensor:
        """Combine states (B, W, D) with case features (B, W); mask (B, W). Returns (B, W, D)."""
        case = self.embed(case_features) * mask.unsqueeze(2)
        case = case + torch.relu(self.convolution(case.transpose(1, 2))).transpose(1, 2)
        both = torch.cat([self.drop(states), case], 2)
        has_link = (case_features >= CASE_FEATURE_COUNT // 2).unsqueeze(2)  # (B, W, 1)
        added = torch.where(has_link, self.combine_with_link(both), self.combine(both))
        joined: Tensor = self.drop(self.norm(states + added))
        return joined
