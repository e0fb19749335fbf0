"""System B as in the original implementation: parts of `multigranular.Multigranular`, faults included.

LiuPeiP-CS/IIE4MNER, commit af42d98, the model that its shell script runs. What is kept although it is
wrong or wasteful:

- Masked keys get −10000 added to their scores, which cancels out in the softmax where all are masked. A post
  without an object then has five equal dummy rows, to which all words attend uniformly, and which are fused
  like objects. (An unreadable picture is one fixed picture in the original; here it is also dummy rows.)
- For a word without neighbours the bias of the map is still added.
- Every layer has the full width of the encoder; nothing starts at zero; states are not normalised.
- With a single modality M is F itself, as in the ablations of the original: no map, no ReLU, no dropout.

Different from the original, like the rest of this package: labels of objects are encoded by the text encoder,
not by a table of 85 classes; layers get words, not word pieces; a word without a vector has the vector 0, not
a random one; the CRFs forbid transitions that violate BIO.

Without any modality Z = W[S; M] with M of the dummy rows: the text-only limit.

Shapes: as in `multigranular`; here H = D.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from twofold.fusion.attention import Gate, TransformerLayer, heads_of_64, mask_by_addition
from twofold.fusion.contract import ModalityStates
from twofold.fusion.multigranular import COARSE, AuxiliaryTask, Multigranular, MultigranularParts, Sizes

DUMMY_ROWS = 5
"""Rows that replace an absent modality: the number of objects in the original."""


def bert_layer(width: int) -> TransformerLayer:
    """A layer as in BERT: heads of size 64, a feed-forward part of 4 D, masks by addition."""
    return TransformerLayer(width, heads_of_64(width), 4 * width, mask_scores=mask_by_addition)


def faithful(sizes: Sizes, augment: nn.Module | None, auxiliary: AuxiliaryTask | None) -> Multigranular:
    """The form of the original; ``augment`` and ``auxiliary`` as in `MultigranularParts`."""
    width = sizes.width
    interactions = {
        n: (OriginalCoarseInteraction if n in COARSE else OriginalFineInteraction)(width, v)
        for n, v in sizes.modality_widths.items()
    }
    parts = MultigranularParts(
        augment=augment,
        encode=OriginalSelfAttention(width),
        interactions=interactions,
        merge=OriginalMerge(width, len(sizes.modality_widths)),
        encode_auxiliary=OriginalSelfAttention(width),
        auxiliary=auxiliary,
    )
    return Multigranular(width, sizes.outputs, sizes.slot_size, parts)


class OriginalAddedNeighbours(nn.Module):
    """H + W a, then dropout 0.1.

    Args:
        width: D.
        neighbour_width: V of the augmentation.
    """

    def __init__(self, width: int, neighbour_width: int) -> None:
        super().__init__()
        self.map, self.drop = nn.Linear(neighbour_width, width), nn.Dropout(0.1)

    def forward(self, words: Tensor, neighbours: ModalityStates | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        added: Tensor = self.drop(words + self.map(_or_zero(words, neighbours, self.map.in_features)))
        return added


class OriginalGatedNeighbours(nn.Module):
    """gH + (1−g)A with A = W a, g = σ(W₁H + W₂A + b), then dropout 0.1; disabled in the original.

    Args:
        width: D.
        neighbour_width: V of the augmentation.
    """

    def __init__(self, width: int, neighbour_width: int) -> None:
        super().__init__()
        self.map, self.drop = nn.Linear(neighbour_width, width), nn.Dropout(0.1)
        self.gate = Gate(width)

    def forward(self, words: Tensor, neighbours: ModalityStates | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        mapped = self.map(_or_zero(words, neighbours, self.map.in_features))
        mixed: Tensor = self.drop(self.gate(words, mapped))
        return mixed


class OriginalSelfAttention(nn.Module):
    """S = C(H, H).

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = bert_layer(width)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Encode words (B, W, D) with mask (B, W); returns (B, W, D)."""
        encoded: Tensor = self.layer(words, words, mask)
        return encoded


class OriginalCoarseInteraction(nn.Module):
    """F = gP + (1−g)P′, with dummy rows where a post lacks the modality.

    Args:
        width: D.
        modality_width: V.
    """

    def __init__(self, width: int, modality_width: int) -> None:
        super().__init__()
        self.dummy = nn.Parameter(torch.empty(modality_width).normal_(std=modality_width**-0.5))
        self.project, self.project_reverse = (
            nn.Linear(modality_width, width),
            nn.Linear(modality_width, width),
        )
        self.self_direct, self.self_reverse, self.direct, self.to_words, self.reverse = (
            bert_layer(width) for _ in range(5)
        )
        self.gate = Gate(width)

    def forward(self, encoded: Tensor, mask: Tensor, modality: ModalityStates | None) -> Tensor:
        """F (B, W, D) of S (B, W, D), mask (B, W), and a modality (B, N, V) or dummy rows."""
        states, real = self.padded(encoded, modality)
        x, x_reverse = self.project(states), self.project_reverse(states)  # (B, N, D)
        x, x_reverse = self.self_direct(x, x, real), self.self_reverse(x_reverse, x_reverse, real)
        direct = self.direct(encoded, x, real)
        reverse = self.reverse(encoded, self.to_words(x_reverse, encoded, mask), real)
        return self.mix(direct, reverse)

    def padded(self, encoded: Tensor, modality: ModalityStates | None) -> tuple[Tensor, Tensor]:
        """States (B, N + 5, V) with dummy rows wherever nothing is real, and which are real (B, N + 5)."""
        dummies = self.dummy.expand(encoded.shape[0], DUMMY_ROWS, -1)
        none = torch.zeros_like(dummies[:, :, 0], dtype=torch.bool)
        if modality is None:
            return dummies, none
        states = torch.where(modality.mask.unsqueeze(2), modality.states.detach(), self.dummy)
        return torch.cat([states, dummies], 1), torch.cat([modality.mask, none], 1)

    def mix(self, direct: Tensor, reverse: Tensor) -> Tensor:
        """F (B, W, D) of P and P′."""
        mixed: Tensor = self.gate(direct, reverse)
        return mixed


class OriginalFineInteraction(OriginalCoarseInteraction):
    """F = gP′ + (1−g)P."""

    def mix(self, direct: Tensor, reverse: Tensor) -> Tensor:
        """F (B, W, D) of P and P′."""
        mixed: Tensor = self.gate(reverse, direct)
        return mixed


class OriginalMerge(nn.Module):
    """Z = W[S; M], M = ReLU(W drop[F₁; …; Fₙ]); M = F₁ with a single modality.

    Args:
        width: D.
        count: n.
    """

    def __init__(self, width: int, count: int, dropout: float = 0.5) -> None:
        super().__init__()
        many = [nn.Dropout(dropout), nn.Linear(width * count, width), nn.ReLU()] if count > 1 else []
        self.project = nn.Sequential(*many)
        self.out = nn.Linear(width * (1 + min(1, count)), width)

    def forward(self, encoded: Tensor, views: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
        """Merge S (B, W, D) with n F (B, W, D), whichever modalities are present. Returns Z (B, W, D)."""
        merged = [self.project(torch.cat(list(views), 2))] if views else []
        joined: Tensor = self.out(torch.cat([encoded, *merged], 2))
        return joined


def _or_zero(words: Tensor, neighbours: ModalityStates | None, width: int) -> Tensor:
    """Vectors (B, W, V) of the neighbours; 0 for a word that has none."""
    if neighbours is None:
        return words.new_zeros(*words.shape[:2], width)
    return neighbours.states.masked_fill(~neighbours.mask.unsqueeze(2), 0)
