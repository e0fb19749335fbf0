"""Attention, the transformer layer in which one sequence asks another, a gate between two states, and what
each word sees in a source.

Vaswani et al. (2017), in the form of BERT's layers (Devlin et al., 2019): residual, then normalisation. How
keys that are not real are hidden is handed in, since released code hides them in a way that fails where no
key is real. It does not know what is made of it.

Shapes: B posts, Q queries, N keys, D width, h heads; of `SourceView` W slots, N elements of a source, V its
width, H inner width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from twofold.fusion.contract import Source

Hide = Callable[[Tensor, Tensor], Tensor]
"""Scores (B, h, Q, N) and the mask (B, N) of the keys, True where one is real, to scores."""


def hide_masked(scores: Tensor, mask: Tensor) -> Tensor:
    """Replace the scores (B, h, Q, N) of keys that are not real: their states never count.

    Where no key is real all weigh the same, and the caller must not look at what comes out.
    """
    return scores.masked_fill(~mask[:, None, None], -1e4)


def hide_by_sum(scores: Tensor, mask: Tensor) -> Tensor:
    """Add −10000 to the scores (B, h, Q, N) of keys that are not real, as BERT's first release does.

    Where no key is real the constant cancels out in the softmax: the keys weigh as if all were.
    """
    return scores + (~mask[:, None, None]).to(scores.dtype) * -1e4


class Attention(nn.Module):
    """Multi-head attention.

    Args:
        width: D.
        heads: h, divides D.
        dropout: of the weights.
        hide: how keys that are not real are hidden.
    """

    def __init__(self, width: int, heads: int, dropout: float, hide: Hide) -> None:
        super().__init__()
        self.heads, self.hide = heads, hide
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor, mask: Tensor) -> Tensor:
        """Look from (B, Q, D) at (B, N, D) with mask (B, N). Returns (B, Q, D)."""
        value = self._split(self.value(asked))
        seen = self.drop(self.weights(asking, asked, mask)) @ value  # (B, h, Q, D/h)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out

    def weights(self, asking: Tensor, asked: Tensor, mask: Tensor) -> Tensor:
        """Weights (B, h, Q, N), which sum to 1 over N; arguments as in `forward`."""
        query, key = self._split(self.query(asking)), self._split(self.key(asked))
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        return torch.softmax(self.hide(scores, mask), -1)

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, N, D) -> (B, h, N, D/h)
        return split


class Layer(nn.Module):
    """A transformer layer C(q, kv): q asks kv; with kv = q it is self-attention.

    Args:
        width: D.
        heads: h, divides D.
        middle: width between the two maps of the feed-forward part.
        dropout: of what is added. weight_dropout: of the attention's weights.
        hide: how keys that are not real are hidden.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        middle: int,
        *,
        dropout: float = 0.1,
        weight_dropout: float = 0.1,
        hide: Hide = hide_masked,
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, weight_dropout, hide)
        self.attention_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, middle), nn.GELU(), nn.Linear(middle, width))
        self.feed_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor, mask: Tensor) -> Tensor:
        """Ask (B, N, D) with mask (B, N) from (B, Q, D). Returns (B, Q, D)."""
        asking = self.attention_norm(asking + self.drop(self.attention(asking, asked, mask)))
        out: Tensor = self.feed_norm(asking + self.drop(self.feed(asking)))
        return out


class Gate(nn.Module):
    """g·first + (1−g)·second with g = σ(W₁ first + W₂ second + b), a gate for each number.

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


class SourceView(nn.Module):
    """What each word sees in a source: cross-attention, multiplied with a projection of the word.

    The product, instead of the residual sum of a transformer layer, leaves no path on which the
    word alone passes for evidence of the picture.

    Args:
        width: D of the words.
        source_width: V of the source.
        inner: H, width of the view.
        heads: attention heads; divides H.
    """

    def __init__(self, width: int, source_width: int, inner: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(source_width)
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(source_width, inner)
        self.value = nn.Linear(source_width, inner)
        self.context = nn.Linear(width, inner)
        self.out_norm = nn.LayerNorm(inner)

    def forward(self, words: Tensor, source: Source) -> Tensor:
        """Look from words (B, W, D) at a source (B, N, V).

        Returns:
            view (B, W, H), finite also where the source is wholly masked.
        """
        words, states = words.detach(), self.norm(source.states.detach())
        query, key, value = (
            self._split(x) for x in (self.query(words), self.key(states), self.value(states))
        )
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5  # (B, h, W, N)
        weights = torch.softmax(scores.masked_fill(~source.mask[:, None, None], -1e4), -1)
        seen = (weights @ value).transpose(1, 2).flatten(2)  # (B, W, H)
        view: Tensor = self.out_norm(seen) * torch.tanh(self.context(words))
        return view

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, N, H) -> (B, h, N, H/h)
        return split
