"""The interface of fusions.

A fusion combines the words of a post with its other modalities and scores *slots*, the target positions. A
tagger has one slot per word; a relation classifier has one slot, made of the words that mark head and tail.

Shapes: B posts, W words, D width (model dimension) of the words, N elements of a modality (regions of a
picture, word pieces of a text), V its width, S slots, P words in a slot (slot size), K outputs (tags or
classes), M modalities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn


class ModalityStates(NamedTuple):
    """One modality besides the text, encoded.

    Attributes:
        states: (B, N, V), anything where masked.
        mask: (B, N) True where an element is real; all False for a post without the modality.
    """

    states: Tensor
    mask: Tensor


Modalities = Mapping[str, ModalityStates]
"""Modalities besides the text, by name."""


@dataclass(frozen=True)
class LossInputs:
    """Base of the inputs of a fusion's auxiliary loss from the forward pass; each fusion has its own."""


class FusionOutput(NamedTuple):
    """The output of a fusion.

    Attributes:
        emissions: (B, S, K) scores for the head.
        evidence: (B, M, 4, S, K) δ, γ, α, β of each modality, text first; None without evidence.
        pooled: (B, 4, S, K) δ, γ, α, β after pooling; None without evidence.
        share: (B, M, S, K) share of each modality in the pooled δ, sums to 1 over M; None without evidence.
        present: (B, M) True where the modality took part; None without evidence.
        loss_inputs: inputs of `Fusion.loss` of the same fusion; None if it needs none.
    """

    emissions: Tensor
    evidence: Tensor | None = None
    pooled: Tensor | None = None
    share: Tensor | None = None
    present: Tensor | None = None
    loss_inputs: LossInputs | None = None


class Fusion(nn.Module):
    """Base of all fusions.

    Attributes:
        modalities: names of the modalities in the order of M, ``text`` first.
        perturbs_pictures: whether pictures are replaced at random in training; see `set_blank_pictures`.
    """

    modalities: Sequence[str]
    perturbs_pictures: bool = False

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Fuse.

        Args:
            words: (B, W, D) text states of the words.
            mask: (B, W) True where a word is real.
            modalities: further modalities by name; a missing one counts as absent.
            slots: (B, S, P) the words that make up each slot; None for one slot per word (S = W, P = 1).
        """
        raise NotImplementedError

    def set_blank_pictures(self, states: Mapping[str, Tensor]) -> None:
        """Give the states of blank pictures, before training, to a fusion that perturbs pictures.

        Args:
            states: (C, N, V) of C blank pictures, by modality.
        """

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """Auxiliary loss of the method, a scalar; 0 for methods that have none.

        Args:
            output: output of `forward`.
            targets: (B, S) gold tags or classes, anything where masked.
            mask: (B, S) True where a slot is real.
        """
        return output.emissions.new_zeros(())

    def _warm_up(self, steps: int) -> float:
        """Factor that rises to 1 over the given training steps, which the buffer ``steps`` counts."""
        done = self.get_buffer("steps")
        if self.training:
            done += 1
        return min(1.0, int(done) / max(1, steps))


def gather_slots(states: Tensor, slots: Tensor | None) -> Tensor:
    """States of slots: those of the words in a slot, concatenated.

    Args:
        states: (B, W, D).
        slots: (B, S, P), see `Fusion.forward`; None returns the states.

    Returns:
        (B, S, P·D).
    """
    if slots is None:
        return states
    index = slots.flatten(1).unsqueeze(2).expand(-1, -1, states.shape[2])  # (B, S·P, D)
    gathered: Tensor = states.gather(1, index)
    concatenated: Tensor = gathered.reshape(slots.shape[0], slots.shape[1], slots.shape[2] * states.shape[2])
    return concatenated
