"""System B as released: parts of `multigranular.Multigranular` with the traps that change its mathematics.

LiuPeiP-CS/IIE4MNER, commit af42d98, the model that its shell script runs. What is kept although it is
wrong or wasteful:

- Keys that are not real are hidden by adding −10000, which cancels out in the softmax where none is real.
  A post without an object then has five equal dummy rows, to which all words attend uniformly, and which
  are fused like objects. (A picture that cannot be read was one fixed picture there; here too it is dummy
  rows, of the source's own.)
- A word without neighbours adds the bias of the map all the same.
- Every layer has the encoder's full width; nothing starts closed; states of sources come as they are.
- With a single source M is F itself, as in the released ablations: no map, no ReLU, no dropout.

What is not as released, since the rest of this package is not: objects are read as labels by the text
encoder, not by a table of 85 classes; layers see words, not word pieces; a word that has no vector has the
vector 0, not a random one; the CRFs keep to BIO's grammar.

Without any source Z = W[S; M] with M of the dummy rows: the text-only limit.

Shapes: as in `multigranular`; here H = D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from twofold.fusion.attention import Gate, Layer, hide_by_sum
from twofold.fusion.contract import Source
from twofold.fusion.multigranular import COARSE, Multigranular, SecondTask

DUMMIES = 5
"""Rows that stand in for a source that is not there: the released number of objects."""


def released_layer(width: int) -> Layer:
    """A layer as BERT's: heads of 64 (or more, where 64 does not divide D), a feed-forward part of 4 D."""
    heads = next(n for n in range(max(1, width // 64), 0, -1) if width % n == 0)
    return Layer(width, heads, 4 * width, hide=hide_by_sum)


def faithful(
    width: int,
    outputs: int,
    source_widths: Mapping[str, int],
    places: int,
    augment: nn.Module | None,
    second: SecondTask | None,
) -> Multigranular:
    """The form as released; its arguments are those of `Multigranular`, and V of each source."""
    paths = {
        n: (ReleasedCoarsePaths if n in COARSE else ReleasedFinePaths)(width, v)
        for n, v in source_widths.items()
    }
    return Multigranular(
        width,
        outputs,
        places,
        augment=augment,
        read=ReleasedReading(width),
        paths=paths,
        join=ReleasedJoin(width, len(source_widths)),
        read_aux=ReleasedReading(width),
        second=second,
    )


class ReleasedAdded(nn.Module):
    """H + W a, then dropout 0.1.

    Args:
        width: D.
        source_width: V of the augmentation.
    """

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.map, self.drop = nn.Linear(source_width, width), nn.Dropout(0.1)

    def forward(self, words: Tensor, neighbours: Source | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        added: Tensor = self.drop(words + self.map(_or_zero(words, neighbours, self.map.in_features)))
        return added


class ReleasedGated(nn.Module):
    """gH + (1−g)A with A = W a, g = σ(W₁H + W₂A + b), then dropout 0.1; switched off in the release.

    Args:
        width: D.
        source_width: V of the augmentation.
    """

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.map, self.drop = nn.Linear(source_width, width), nn.Dropout(0.1)
        self.gate = Gate(width)

    def forward(self, words: Tensor, neighbours: Source | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        mapped = self.map(_or_zero(words, neighbours, self.map.in_features))
        mixed: Tensor = self.drop(self.gate(words, mapped))
        return mixed


class ReleasedReading(nn.Module):
    """S = C(H, H).

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = released_layer(width)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Read words (B, W, D) with mask (B, W); returns (B, W, D)."""
        read: Tensor = self.layer(words, words, mask)
        return read


class ReleasedCoarsePaths(nn.Module):
    """F = gP + (1−g)P′, with dummy rows where a post has no source.

    Args:
        width: D.
        source_width: V.
    """

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.dummy = nn.Parameter(torch.empty(source_width).normal_(std=source_width**-0.5))
        self.project, self.project_back = nn.Linear(source_width, width), nn.Linear(source_width, width)
        self.own, self.own_back, self.look, self.back, self.again = (released_layer(width) for _ in range(5))
        self.gate = Gate(width)

    def forward(self, read: Tensor, mask: Tensor, source: Source | None) -> Tensor:
        """Look from S (B, W, D), mask (B, W), at a source (B, N, V) or at dummies; returns F (B, W, D)."""
        states, real = self.padded(read, source)
        own, own_back = self.project(states), self.project_back(states)  # (B, N, D)
        own, own_back = self.own(own, own, real), self.own_back(own_back, own_back, real)
        direct = self.look(read, own, real)
        back = self.again(read, self.back(own_back, read, mask), real)
        return self.mix(direct, back)

    def padded(self, read: Tensor, source: Source | None) -> tuple[Tensor, Tensor]:
        """States (B, N + 5, V) with the dummy wherever nothing is real, and which are real (B, N + 5)."""
        dummies = self.dummy.expand(read.shape[0], DUMMIES, -1)
        none = torch.zeros_like(dummies[:, :, 0], dtype=torch.bool)
        if source is None:
            return dummies, none
        states = torch.where(source.mask.unsqueeze(2), source.states.detach(), self.dummy)
        return torch.cat([states, dummies], 1), torch.cat([source.mask, none], 1)

    def mix(self, direct: Tensor, back: Tensor) -> Tensor:
        """F (B, W, D) of P and P′."""
        mixed: Tensor = self.gate(direct, back)
        return mixed


class ReleasedFinePaths(ReleasedCoarsePaths):
    """F = gP′ + (1−g)P."""

    def mix(self, direct: Tensor, back: Tensor) -> Tensor:
        """F (B, W, D) of P and P′."""
        mixed: Tensor = self.gate(back, direct)
        return mixed


class ReleasedJoin(nn.Module):
    """Z = W[S; M], M = ReLU(W drop[F₁; …; Fₙ]); M = F₁ with a single source.

    Args:
        width: D.
        count: n.
    """

    def __init__(self, width: int, count: int, dropout: float = 0.5) -> None:
        super().__init__()
        many = [nn.Dropout(dropout), nn.Linear(width * count, width), nn.ReLU()] if count > 1 else []
        self.merge = nn.Sequential(*many)
        self.out = nn.Linear(width * (1 + min(1, count)), width)

    def forward(self, read: Tensor, seen: Sequence[Tensor], there: Sequence[Tensor]) -> Tensor:
        """Join S (B, W, D) with n F (B, W, D); which sources are there is not asked. Returns Z (B, W, D)."""
        merged = [self.merge(torch.cat(list(seen), 2))] if seen else []
        joined: Tensor = self.out(torch.cat([read, *merged], 2))
        return joined


def _or_zero(words: Tensor, neighbours: Source | None, width: int) -> Tensor:
    """Vectors (B, W, V) of the neighbours; 0 for a word that has none."""
    if neighbours is None:
        return words.new_zeros(*words.shape[:2], width)
    return neighbours.states.masked_fill(~neighbours.mask.unsqueeze(2), 0)
