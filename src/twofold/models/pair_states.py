"""States of entity pairs of a post, all pairs in one pass: two levitated markers per pair, above the word
states.

Zhong & Chen, "A Frustratingly Easy Approach for Entity and Relation Extraction" (PURE, NAACL 2021, section
3.3), and Ye et al., "Packed Levitated Marker for Entity and Relation Extraction" (PL-Marker, ACL 2022): a
marker of an argument is not inserted into the text. It attends to the words and to the other marker of its
pair, and no word and no other pair attends to it, so that the state of a pair does not depend on the other
pairs. In these papers the markers pass through the encoder; here they pass through separate layers above it,
so that entities and relations share one pass of the encoder. In all layers but the last the words attend to
each other, too.

Shapes: B posts, W words, D width, S pairs, h heads.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from twofold.fusion.attention import MASKED, TransformerLayer, heads_of_64, split_heads
from twofold.fusion.contract import Fusion, FusionOutput, ModalityStates
from twofold.preprocessing.semantic_augmentation import MODALITY as ALIGNED

ENDS = 4
"""Words that name a pair: first and last word of the head, first and last word of the tail."""


class PairLayer(TransformerLayer):
    """A transformer layer in which each marker attends to the words and to the two markers of its pair."""

    def read(self, markers: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Markers (B, S, 2, D) after a layer over words (B, W, D), of which mask (B, W) are real."""
        heads, (posts, pairs, _, width) = self.attention.heads, markers.shape
        sizes = posts, heads, pairs, 2  # of the markers, pair by pair
        flat = markers.flatten(1, 2)  # (B, 2S, D)
        query = split_heads(self.attention.query(flat), heads) * (width // heads) ** -0.5
        own_key, own_value = (
            split_heads(project(flat), heads).reshape(*sizes, width // heads)
            for project in (self.attention.key, self.attention.value)
        )
        key, value = (
            split_heads(project(words), heads) for project in (self.attention.key, self.attention.value)
        )
        own = query.reshape(*sizes, width // heads) @ own_key.transpose(3, 4)  # (B, h, S, 2, 2)
        seen = (query @ key.transpose(2, 3)).masked_fill(~mask[:, None, None], MASKED)  # (B, h, 2S, W)
        weights = self.attention.drop(torch.softmax(torch.cat([own.flatten(2, 3), seen], 3), 3))
        pair = (weights[..., :2].reshape(*sizes, 2) @ own_value).flatten(2, 3)
        attended = weights[..., 2:] @ value + pair  # (B, h, 2S, D/h)
        added = self.attention.out(attended.transpose(1, 2).flatten(2))
        return self.residual(flat, added).reshape(posts, pairs, 2, width)


class PairStates(nn.Module):
    """Two states per pair, of its head and of its tail.

    Args:
        width: D.
        layers: number of layers, at least 1.
        dropout: dropout of attention weights and of what is added to a residual.
    """

    def __init__(self, width: int, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        heads = heads_of_64(width)
        self.layers = nn.ModuleList(
            PairLayer(width, heads, 4 * width, dropout=dropout, attention_dropout=dropout)
            for _ in range(layers)
        )
        self.ends = nn.Linear(2 * width, width)
        self.roles = nn.Parameter(0.02 * torch.randn(2, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor, mask: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pairs.

        Args:
            words: (B, W, D).
            mask: (B, W) True where a word is real.
            slots: (B, S, 4) positions of the `ENDS` of each pair.

        Returns:
            words (B, W, D) after all layers but the last, and markers (B, S, 2, D).
        """
        markers = self._markers(words, slots)
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, PairLayer)
            markers = layer.read(markers, words, mask)
            if i + 1 < len(self.layers):
                words = layer(words, words, mask)
        return words, markers

    def _markers(self, words: Tensor, slots: Tensor) -> Tensor:
        """Initial states (B, S, 2, D): the first word of an argument, with its last word and its role."""
        index = slots.flatten(1).unsqueeze(2).expand(-1, -1, words.shape[2])
        ends = words.gather(1, index).reshape(slots.shape[0], slots.shape[1], 2, 2, words.shape[2])
        markers: Tensor = self.norm(ends[..., 0, :] + self.ends(ends.flatten(3)) + self.roles)
        return markers


class PairFusion(Fusion):
    """A fusion of the states of pairs: markers are appended to the words, and no word attends to them.

    Args:
        pairs: encodes the pairs.
        fusion: fusion of any method, with slots of 2 words.
    """

    def __init__(self, pairs: PairStates, fusion: Fusion) -> None:
        super().__init__()
        self.pairs, self.fusion = pairs, fusion
        self.modalities, self.perturbs_pictures = fusion.modalities, fusion.perturbs_pictures

    def forward(
        self,
        words: Tensor,
        mask: Tensor,
        modalities: Mapping[str, ModalityStates],
        slots: Tensor | None = None,
    ) -> FusionOutput:
        """Fuse; see `Fusion.forward`, with slots (B, S, 4) of `ENDS`."""
        assert slots is not None
        words, markers = self.pairs(words, mask, slots)
        flat = markers.flatten(1, 2)  # (B, 2S, D)
        if ALIGNED in modalities:  # it has a state for each word, and none for markers
            aligned = modalities[ALIGNED]
            padding = flat.new_zeros(*flat.shape[:2], aligned.states.shape[2])
            modalities = {
                **modalities,
                ALIGNED: ModalityStates(
                    torch.cat([aligned.states, padding], 1),
                    torch.cat([aligned.mask, mask.new_zeros(flat.shape[:2])], 1),
                ),
            }
        positions = words.shape[1] + torch.arange(flat.shape[1], device=words.device)
        positions = positions.reshape(1, slots.shape[1], 2).expand(words.shape[0], -1, -1)  # (B, S, 2)
        extended_mask = torch.cat([mask, mask.new_zeros(flat.shape[:2])], 1)
        output: FusionOutput = self.fusion(torch.cat([words, flat], 1), extended_mask, modalities, positions)
        return output

    def set_blank_pictures(self, states: Mapping[str, Tensor]) -> None:
        """See `Fusion.set_blank_pictures`."""
        self.fusion.set_blank_pictures(states)

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """See `Fusion.loss`."""
        return self.fusion.loss(output, targets, mask)
