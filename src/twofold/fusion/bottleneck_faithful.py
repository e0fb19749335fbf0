"""System C as in the original implementation: parts of `bottleneck.Bottleneck`, faults included.

cuishiyao96/MMIB, commit 89be362. What is kept although it is wrong or has no effect:

- Attention masks padded queries instead of padded keys, so that padding is attended to and the result for a
  post depends on the longest post of its batch (`real_queries`).
- Emissions come from F alone, instead of the word states (`ReplacingReadout`); latents are as wide as these.
- One projection for all modalities of a width, no normalisation; masked elements are zeros that are attended
  to (`ProjectedElements`).
- For relations noise is also drawn at inference, so that results are random (`sample_always`).
- The critic is additive and cannot distinguish pairs, so that the alignment has no effect
  (`ConcatenationCritic`); the picture's summary is the first element.
- By configuration: negatives that may be the same picture (`variational.rolled_jsd`), and a KL averaged over
  padding and width (`variational.mean_reduction`).

Different from the original: the fusion gets words and no [CLS], which the mean of the words' latents replaces
in the alignment. RECONSTRUCTED: without a visual modality emissions are linear in Zᵗ.

Shapes: as in `bottleneck`; here H = D.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from twofold.fusion.bottleneck import Bottleneck, BottleneckParts, Regularisers
from twofold.fusion.contract import Modalities
from twofold.fusion.variational import (
    GaussianEncoder,
    Reparameterise,
    ResidualAttention,
    sample_in_training,
)


def real_queries(queries: Tensor, keys: Tensor) -> Tensor:
    """Only real queries attend, and to all keys, including padding: (B, Q, 1). A padded query gets the mean
    of all."""
    return queries.unsqueeze(2)


def sample_always(mean: Tensor, log_variance: Tensor, training: bool) -> Tensor:
    """Z = μ + ε·exp(ρ/2) also at inference; an exported graph never draws noise."""
    return sample_in_training(mean, log_variance, not torch.onnx.is_in_onnx_export())


def first_element(latents: Tensor, mask: Tensor) -> Tensor:
    """The first of the elements (B, N, H): the whole picture where the modalities begin with ``whole``."""
    return latents[:, 0]


class ConcatenationCritic(nn.Module):
    """H scores, each linear in [t; v], and so the sum of a function of the text and one of the picture.

    It cannot distinguish pairs: over a batch, own and rolled pairs have the same sum of scores, so by
    convexity its loss never falls below 2 log 2, which it has at 0. The alignment has no effect.

    Args:
        hidden_size: H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, texts: Tensor, pictures: Tensor) -> Tensor:
        """Score each text (B, H) with each picture (B, H). Returns (B texts, B pictures, H)."""
        posts = texts.shape[0]
        pairs = [texts.unsqueeze(1).expand(-1, posts, -1), pictures.unsqueeze(0).expand(posts, -1, -1)]
        scores: Tensor = self.score(torch.cat(pairs, 2))
        return scores


class ProjectedElements(nn.Module):
    """One projection for all modalities of a width, no normalisation. Masked elements are zeros, like the
    black pictures that replace missing crops in the original, and are attended to like others.

    Args:
        modality_widths: V of each modality, by name.
        hidden_size: H.
    """

    def __init__(self, modality_widths: Mapping[str, int], hidden_size: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict({str(v): nn.Linear(v, hidden_size) for v in modality_widths.values()})

    def forward(self, modalities: Modalities) -> tuple[Tensor, Tensor]:
        """Concatenate modalities (B, N, V), at least one. Returns states (B, ΣN, H) and mask (B, ΣN), all
        True."""
        states = []
        for modality in modalities.values():
            clean = modality.states.detach().masked_fill(~modality.mask.unsqueeze(2), 0)
            states.append(self.project[str(clean.shape[2])](clean))
        joined = torch.cat(states, 1)
        return joined, torch.ones(joined.shape[:2], dtype=torch.bool, device=joined.device)


class ReplacingReadout(nn.Module):
    """F instead of the word states; Zᵗ for a post without a visual modality."""

    def forward(self, words: Tensor, latents: Tensor, fused: Tensor, has_picture: Tensor) -> Tensor:
        """States (B, W, H) from words (B, W, D), Zᵗ and F (B, W, H), has_picture (B,)."""
        return torch.where(has_picture[:, None, None], fused, latents)


def faithful(
    width: int,
    outputs: int,
    modality_widths: Mapping[str, int],
    slot_size: int,
    reparameterise: Reparameterise,
    regularisers: Regularisers,
) -> Bottleneck:
    """The form of the original implementation, from D, K, V by name, P, how Z is sampled, and the terms added
    to the loss."""

    def attention() -> ResidualAttention:
        return ResidualAttention(width, real_queries)

    parts = BottleneckParts(
        project_words=nn.Identity(),
        visual_sequence=ProjectedElements(modality_widths, width),
        encode_text=GaussianEncoder(attention(), attention()),
        encode_picture=GaussianEncoder(attention(), attention()),
        reparameterise=reparameterise,
        picture_to_text=attention(),
        text_to_picture=attention(),
        readout=ReplacingReadout(),
        summarise_picture=first_element,
        critic=ConcatenationCritic(width),
        score=nn.Linear(width * slot_size, outputs),
    )
    return Bottleneck(modality_widths, parts, regularisers)
