"""System B: multi-granularity cross-modality fusion (MGCMT), and its corrected parts.

Liu et al., "Multi-Granularity Cross-Modality Representation Learning for Named Entity Recognition on Social
Media" (arXiv 2210.14163), after the original implementation. With C(q, kv) a transformer layer in which
q attends to kv:

    S  = C(H′, H′) over the words H′, H with its semantic augmentation; S_aux a second such layer
    P  = C(S, X)            for each modality X, after self-attention: the words attend to it
    P′ = C(S, C(X′, S))     the words attend to the modality after it has attended to the text
    F  = gP + (1−g)P′ for the coarse modality, g = σ(W₁P + W₂P′ + b); gP′ + (1−g)P for fine ones
    M  = ReLU(W[F₁; …; Fₙ]), dropout 0.5;   Z = W[S; M];   emissions from Z

Loss: half that of an auxiliary task on S_aux, entity spans without types. It is passed in; relations have
none. The paper has two modalities, regions (coarse) and objects (fine); any set is possible here.

`Multigranular` is the architecture; its parts are passed in. Those here are the corrected ones, the default;
those of the original implementation are in `multigranular_faithful`. Corrected: masked elements have no
influence; an absent modality contributes exactly nothing; states of modalities are normalised first; the
layers have a small hidden size, and what they add to H and S starts at zero, so that training starts at
`text_only`.
Without any modality Z = S: self-attention over the words and a linear map.

Shapes: B posts, W words, D width, N elements of a modality, V its width, H hidden size, S slots, P words in a
slot, K outputs, n modalities besides text and augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from twofold.fusion.attention import Gate, TransformerLayer
from twofold.fusion.contract import Fusion, FusionOutput, LossInputs, Modalities, ModalityStates, gather_slots

AUGMENTATION = "neighbours"
"""The modality with one state per word, which augments the text instead of being attended to."""
COARSE = frozenset({"picture", "whole"})
"""Coarse modalities; in the gates of all others the two paths are swapped."""
HEADS = 4
"""Attention heads of the corrected layers."""


@dataclass(frozen=True)
class AuxiliaryTask:
    """The task that trains S_aux.

    Attributes:
        module: S_aux (B, W, D), targets (B, W) and mask (B, W) to nats (B,).
        weight: weight in the loss.
    """

    module: nn.Module
    weight: float = 0.5


@dataclass(frozen=True)
class AuxiliaryStates(LossInputs):
    """Inputs of the auxiliary task.

    Attributes:
        states: (B, W, D) S_aux.
    """

    states: Tensor


@dataclass(frozen=True)
class MultigranularParts:
    """The parts of a `Multigranular`.

    Attributes:
        augment: words (B, W, D) and the augmentation (`ModalityStates` with N = W, or None) to words; None
            for a model without augmentation.
        encode: words (B, W, D) and mask (B, W) to S (B, W, D).
        interactions: for each modality S, the mask of the words and the modality (or None) to F (B, W, H).
        merge: S, and F and presence (B,) of each modality, to Z (B, W, D).
        encode_auxiliary: as ``encode``, to S_aux.
        auxiliary: the auxiliary task; None for a model without one, which has no S_aux either.
    """

    augment: nn.Module | None
    encode: nn.Module
    interactions: Mapping[str, nn.Module]
    merge: nn.Module
    encode_auxiliary: nn.Module
    auxiliary: AuxiliaryTask | None


class Multigranular(Fusion):
    """The architecture.

    Args:
        width: D.
        outputs: K.
        slot_size: P.
        parts: its parts.
    """

    def __init__(self, width: int, outputs: int, slot_size: int, parts: MultigranularParts) -> None:
        super().__init__()
        augmentation = [AUGMENTATION] if parts.augment is not None else []
        self.modalities = ("text", *parts.interactions, *augmentation)
        self.augment, self.encode, self.merge = parts.augment, parts.encode, parts.merge
        self.interactions = nn.ModuleDict(parts.interactions)
        self.score = nn.Linear(width * slot_size, outputs)
        auxiliary = parts.auxiliary
        self.encode_auxiliary = parts.encode_auxiliary if auxiliary else None
        self.auxiliary = auxiliary.module if auxiliary else None
        self.auxiliary_weight = auxiliary.weight if auxiliary else 0.0

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Score slots to emissions (B, S, K); see `Fusion.forward`."""
        if self.augment is not None:
            words = self.augment(words, modalities.get(AUGMENTATION))
        encoded = self.encode(words, mask)
        absent = torch.zeros_like(mask[:, 0])
        views = [
            interact(encoded, mask, modalities.get(name)) for name, interact in self.interactions.items()
        ]
        present = [
            modalities[name].mask.any(1) if name in modalities else absent for name in self.interactions
        ]
        merged = self.merge(encoded, views, present)  # (B, W, D)
        encode = self.encode_auxiliary
        auxiliary = None if encode is None else AuxiliaryStates(encode(words, mask))
        return FusionOutput(self.score(gather_slots(merged, slots)), loss_inputs=auxiliary)

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """Weighted loss of the auxiliary task, mean over posts; 0 without one. See `Fusion.loss`."""
        if self.auxiliary is None:
            return output.emissions.new_zeros(())
        assert isinstance(output.loss_inputs, AuxiliaryStates)
        nats: Tensor = self.auxiliary(output.loss_inputs.states, targets, mask)
        return self.auxiliary_weight * nats.mean()


@dataclass(frozen=True)
class Sizes:
    """Sizes of the fusion.

    Attributes:
        width: D.
        outputs: K.
        modality_widths: V of each modality besides text and augmentation, by name.
        slot_size: P.
    """

    width: int
    outputs: int
    modality_widths: Mapping[str, int]
    slot_size: int


def corrected(
    sizes: Sizes, hidden_size: int, augment: nn.Module | None, auxiliary: AuxiliaryTask | None
) -> Multigranular:
    """The corrected form with layers of size H; ``augment`` and ``auxiliary`` as in `MultigranularParts`."""
    width = sizes.width
    parts = MultigranularParts(
        augment=augment,
        encode=WordSelfAttention(width, hidden_size),
        interactions={
            n: (CoarseInteraction if n in COARSE else FineInteraction)(width, v, hidden_size)
            for n, v in sizes.modality_widths.items()
        },
        merge=Merge(width, hidden_size, len(sizes.modality_widths)),
        encode_auxiliary=WordSelfAttention(width, hidden_size),
        auxiliary=auxiliary,
    )
    return Multigranular(width, sizes.outputs, sizes.slot_size, parts)


# --- augmentation of the words -----------------------------------------------------------------------


class AddedNeighbours(nn.Module):
    """H + W a: a, the mean of the neighbours, is added; W starts at zero. A word without neighbours is
    unchanged.

    Args:
        width: D.
        neighbour_width: V of the augmentation.
    """

    def __init__(self, width: int, neighbour_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(neighbour_width, elementwise_affine=False)
        self.map = _zeroed(nn.Linear(neighbour_width, width))

    def forward(self, words: Tensor, neighbours: ModalityStates | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        if neighbours is None:
            return words
        added = self.map(self.norm(_masked_states(neighbours))) * neighbours.mask.unsqueeze(2)
        augmented: Tensor = words + added
        return augmented


class GatedNeighbours(nn.Module):
    """gH + (1−g)A with A = W a, g = σ(W₁H + W₂A + b); b starts at a value where g is 0.98, nearly H alone.

    Args:
        width: D.
        neighbour_width: V of the augmentation.
    """

    def __init__(self, width: int, neighbour_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(neighbour_width, elementwise_affine=False)
        self.map = nn.Linear(neighbour_width, width)
        self.gate = Gate(width)
        nn.init.constant_(self.gate.first.bias, 4.0)

    def forward(self, words: Tensor, neighbours: ModalityStates | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        if neighbours is None:
            return words
        mixed = self.gate(words, self.map(self.norm(_masked_states(neighbours))))
        return torch.where(neighbours.mask.unsqueeze(2), mixed, words)


# --- corrected parts ---------------------------------------------------------------------------------


class WordSelfAttention(nn.Module):
    """S = H + W C(H, H): self-attention over the words with a small hidden size; W starts at zero.

    Args:
        width: D.
        hidden_size: H.
    """

    def __init__(self, width: int, hidden_size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, hidden_size), _zeroed(nn.Linear(hidden_size, width))
        self.layer = _small_layer(hidden_size)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Encode words (B, W, D) with mask (B, W); returns (B, W, D)."""
        small = self.down(words)
        encoded: Tensor = words + self.up(self.layer(small, small, mask))
        return encoded


class CoarseInteraction(nn.Module):
    """Both paths between words and a coarse modality, regions of the picture: F = gP + (1−g)P′.

    Args:
        width: D.
        modality_width: V.
        hidden_size: H.
    """

    def __init__(self, width: int, modality_width: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.norm = nn.LayerNorm(modality_width, elementwise_affine=False)
        self.query = nn.Linear(width, hidden_size)
        self.project = nn.Linear(modality_width, 2 * hidden_size)  # to X and to X′
        self.self_direct, self.self_reverse, self.direct, self.to_words, self.reverse = (
            _small_layer(hidden_size) for _ in range(5)
        )
        self.gate = Gate(hidden_size)

    def forward(self, encoded: Tensor, mask: Tensor, modality: ModalityStates | None) -> Tensor:
        """F (B, W, H) of S (B, W, D), mask (B, W), and a modality (B, N, V); 0 where it is absent."""
        if modality is None:
            return encoded.new_zeros(*encoded.shape[:2], self.hidden_size)
        states, queries = self.norm(_masked_states(modality)), self.query(encoded)
        x, x_reverse = self.project(states).chunk(2, 2)  # (B, N, H) each
        x = self.self_direct(x, x, modality.mask)
        x_reverse = self.self_reverse(x_reverse, x_reverse, modality.mask)
        direct = self.direct(queries, x, modality.mask)
        reverse = self.reverse(queries, self.to_words(x_reverse, queries, mask), modality.mask)
        return self.mix(direct, reverse) * modality.mask.any(1)[:, None, None]

    def mix(self, direct: Tensor, reverse: Tensor) -> Tensor:
        """F (B, W, H) of P and P′."""
        mixed: Tensor = self.gate(direct, reverse)
        return mixed


class FineInteraction(CoarseInteraction):
    """Both paths between words and a fine modality, objects or texts: F = gP′ + (1−g)P, the order of the
    original."""

    def mix(self, direct: Tensor, reverse: Tensor) -> Tensor:
        """F (B, W, H) of P and P′."""
        mixed: Tensor = self.gate(reverse, direct)
        return mixed


class Merge(nn.Module):
    """Z = S + W M, M = ReLU(W[F₁; …; Fₙ]) where any modality is present; the outer W starts at zero.

    The original Z = W[S; M] without its square block for S: the linear map to the emissions that follows can
    represent it. A post without modalities has M = 0, bias included, and so Z = S.

    Args:
        width: D.
        hidden_size: H.
        count: n.
    """

    def __init__(self, width: int, hidden_size: int, count: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size * max(1, count), hidden_size)
        self.drop = nn.Dropout(dropout)
        self.up = _zeroed(nn.Linear(hidden_size, width, bias=False))

    def forward(self, encoded: Tensor, views: Sequence[Tensor], present: Sequence[Tensor]) -> Tensor:
        """Merge S (B, W, D) with n F (B, W, H), present (B,) each; returns Z (B, W, D)."""
        if not views:
            return encoded
        any_present = torch.stack(list(present), 1).any(1)[:, None, None]
        merged = self.drop(torch.relu(self.project(torch.cat(list(views), 2)))) * any_present
        joined: Tensor = encoded + self.up(merged)
        return joined


def _small_layer(hidden_size: int) -> TransformerLayer:
    return TransformerLayer(hidden_size, HEADS, hidden_size, attention_dropout=0.0)


def _masked_states(modality: ModalityStates) -> Tensor:
    """States (B, N, V) of a modality, 0 where masked; no gradient goes to its encoder."""
    return modality.states.detach().masked_fill(~modality.mask.unsqueeze(2), 0)


def _zeroed(linear: nn.Linear) -> nn.Linear:
    """The same layer with zero weights: its output is 0 before training."""
    nn.init.zeros_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return linear
