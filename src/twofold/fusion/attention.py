"""Attention, a transformer layer, a gate between two states, and cross-attention to a modality.

Vaswani et al. (2017), in the form of BERT's layers (Devlin et al., 2019): residual, then normalisation. The
rule that masks scores is passed in, since original implementations mask in a way that fails where no key is
real. This module does not depend on what the states mean.

Shapes: B posts, Q queries, N keys, D width, h heads; of `CrossAttention` W slots, N elements of a
modality, V its width, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from twofold.fusion.contract import ModalityStates

MASKED = -1e4
"""Score of a masked key; finite, so that a row without any real key gives no NaN."""

MaskScores = Callable[[Tensor, Tensor], Tensor]
"""From scores (B, h, Q, N) and visibility (B, 1 or Q, 1 or N), True where a query may attend to a key, to
scores."""


def mask_by_value(scores: Tensor, visible: Tensor) -> Tensor:
    """Replace masked scores (B, h, Q, N): states of masked keys have no influence.

    Where nothing is visible all keys have the same weight, and the caller must ignore the result.
    """
    return scores.masked_fill(~visible.unsqueeze(1), MASKED)


def mask_by_addition(scores: Tensor, visible: Tensor) -> Tensor:
    """Add −10000 to masked scores (B, h, Q, N), as the first release of BERT does.

    Where nothing is visible the constant cancels out in the softmax: weights are as if all were visible.
    """
    return scores + (~visible.unsqueeze(1)).to(scores.dtype) * MASKED


def split_heads(states: Tensor, heads: int) -> Tensor:
    """(B, N, D) to (B, h, N, D/h)."""
    split: Tensor = states.unflatten(2, (heads, -1)).transpose(1, 2)
    return split


def attention_weights(query: Tensor, key: Tensor, visible: Tensor, mask_scores: MaskScores) -> Tensor:
    """Scaled dot-product weights (B, h, Q, N), which sum to 1 over N.

    Args:
        query: (B, h, Q, D/h).
        key: (B, h, N, D/h).
        visible: (B, 1 or Q, 1 or N), see `MaskScores`.
        mask_scores: the rule that masks.
    """
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    return torch.softmax(mask_scores(scores, visible), -1)


def heads_of_64(width: int) -> int:
    """Number of heads of size 64, as in BERT, or larger where 64 does not divide the width."""
    return next(heads for heads in range(max(1, width // 64), 0, -1) if width % heads == 0)


class Attention(nn.Module):
    """Multi-head attention.

    Args:
        width: D.
        heads: h, divides D.
        dropout: dropout of the attention weights.
        mask_scores: the rule that masks.
    """

    def __init__(self, width: int, heads: int, dropout: float, mask_scores: MaskScores) -> None:
        super().__init__()
        self.heads, self.mask_scores = heads, mask_scores
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """Attend from (B, Q, D) to (B, N, D); visible (B, 1 or Q, 1 or N). Returns (B, Q, D)."""
        value = split_heads(self.value(keys), self.heads)
        attended = self.drop(self.weights(queries, keys, visible)) @ value  # (B, h, Q, D/h)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out

    def weights(self, queries: Tensor, keys: Tensor, visible: Tensor) -> Tensor:
        """Weights (B, h, Q, N), which sum to 1 over N; arguments as in `forward`."""
        query, key = split_heads(self.query(queries), self.heads), split_heads(self.key(keys), self.heads)
        return attention_weights(query, key, visible, self.mask_scores)


class TransformerLayer(nn.Module):
    """A transformer layer C(q, kv): queries q attend to kv; with kv = q it is self-attention.

    Args:
        width: D.
        heads: h, divides D.
        feed_forward_size: hidden size of the feed-forward part.
        dropout: dropout of what is added to the residual.
        attention_dropout: dropout of the attention weights.
        mask_scores: the rule that masks.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward_size: int,
        *,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        mask_scores: MaskScores = mask_by_value,
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, attention_dropout, mask_scores)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward_size), nn.GELU(), nn.Linear(feed_forward_size, width)
        )
        self.feed_forward_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Attend from (B, Q, D) to (B, N, D), of which mask (B, N) are real. Returns (B, Q, D)."""
        return self.residual(queries, self.attention(queries, keys, mask.unsqueeze(1)))

    def residual(self, queries: Tensor, attended: Tensor) -> Tensor:
        """The layer after its attention: queries and attention output, (B, Q, D) each, to (B, Q, D)."""
        queries = self.attention_norm(queries + self.drop(attended))
        out: Tensor = self.feed_forward_norm(queries + self.drop(self.feed_forward(queries)))
        return out


class Gate(nn.Module):
    """g·first + (1−g)·second with g = σ(W₁ first + W₂ second + b), elementwise.

    Args:
        width: D of both.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Mix two (B, Q, D) to one."""
        gate = torch.sigmoid(self.first(first) + self.second(second))
        return gate * first + (1 - gate) * second


class CrossAttention(nn.Module):
    """Attention of each word to a modality: multi-head attention without a residual connection.

    Without the residual connection of a transformer layer the word cannot pass for evidence of the picture;
    it only determines the attention weights.

    Args:
        width: D of the words.
        modality_width: V of the modality.
        hidden_size: H of the result.
        heads: attention heads; divides H.
    """

    def __init__(self, width: int, modality_width: int, hidden_size: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(modality_width)
        self.query = nn.Linear(width, hidden_size)
        self.key = nn.Linear(modality_width, hidden_size)
        self.value = nn.Linear(modality_width, hidden_size)

    def forward(self, words: Tensor, modality: ModalityStates) -> Tensor:
        """Attend from words (B, W, D) to a modality (B, N, V).

        Returns:
            (B, W, H), finite even where the modality is fully masked.
        """
        states = self.norm(modality.states)
        query, key, value = (
            split_heads(x, self.heads) for x in (self.query(words), self.key(states), self.value(states))
        )
        weights = attention_weights(query, key, modality.mask.unsqueeze(1), mask_by_value)  # (B, h, W, N)
        return (weights @ value).transpose(1, 2).flatten(2)


class GatedCrossAttention(CrossAttention):
    """Cross-attention, normalised and multiplied by the tanh of a projection of the word.

    No gradient flows to words and modality: pictures must not change the text encoder. Arguments as in
    `CrossAttention`.
    """

    def __init__(self, width: int, modality_width: int, hidden_size: int, heads: int = 4) -> None:
        super().__init__(width, modality_width, hidden_size, heads)
        self.context = nn.Linear(width, hidden_size)
        self.out_norm = nn.LayerNorm(hidden_size)

    def forward(self, words: Tensor, modality: ModalityStates) -> Tensor:
        """Attend from words (B, W, D) to a modality (B, N, V); see `CrossAttention.forward`."""
        words = words.detach()
        attended = super().forward(words, modality._replace(states=modality.states.detach()))
        gated: Tensor = self.out_norm(attended) * torch.tanh(self.context(words))
        return gated
