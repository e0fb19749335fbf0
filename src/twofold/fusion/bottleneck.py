"""System C: variational information bottleneck, which uses noise to limit what text and picture states carry.

After "Enhancing Multimodal Entity and Relation Extraction with Variational Information Bottleneck"
(arXiv 2304.02328) and its original implementation (cuishiyao96/MMIB). Words and visual elements become
Gaussians, Zᵗ and Zᵛ. Two regularisers: the KL of each to N(0, I), an upper bound on I(Z; X), and an
alignment, a lower bound on I(Zᵗ; Zᵛ). Pictures attend to the text, then the text attends to the result:

    U = A(Zᵛ, Zᵗ, Zᵗ)    F = A(Zᵗ, U, U)    L = task + β₁·alignment + β₂·KLᵗ + β₃·KLᵛ

The visual sequence holds the elements of all modalities besides the text. This module has the architecture,
`Bottleneck`, and the corrected parts; the parts of the original implementation are in `bottleneck_faithful`.
Corrected: latents have a separate hidden size; F is added to the word states through a layer that starts at
zero, so that training starts at `text_only`; padding is masked; noise in training only; a picture is never a
negative of itself. RECONSTRUCTED, since the paper has no absent picture: without a visual modality emissions
are those of `text_only` with the same weights, and nothing is regularised.

The alignment and the reduction of the KL are passed to either form.

Shapes: B posts, W words, D width, N visual elements, V width of a modality, H hidden size of the latents, S
slots, P words in a slot, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from twofold.fusion.contract import Fusion, FusionOutput, LossInputs, Modalities, gather_slots
from twofold.fusion.variational import (
    Alignment,
    BilinearCritic,
    GaussianEncoder,
    Reduction,
    Reparameterise,
    ResidualAttention,
    Summary,
    kl_to_standard_normal,
    mean_element,
    negative_pairs,
    real_keys,
    sample_in_training,
    with_initial_log_variance,
)


@dataclass(frozen=True, slots=True)
class Regularisers:
    """The terms added to the loss of the task.

    Attributes:
        alignment: estimator of I(Zᵗ; Zᵛ).
        kl_reduction: reduction of the KL to a scalar.
        alignment_weight: β₁.
        text_kl_weight: β₂.
        picture_kl_weight: β₃.
    """

    alignment: Alignment
    kl_reduction: Reduction
    alignment_weight: float
    text_kl_weight: float
    picture_kl_weight: float


@dataclass(frozen=True)
class Latents(LossInputs):
    """Inputs of the regularisers, for a batch.

    Attributes:
        text_mean: (B, W, H) μᵗ.
        text_log_variance: (B, W, H) ρᵗ.
        text_mask: (B, W) True for real words of posts with a visual modality.
        picture_mean: (B, N, H) μᵛ.
        picture_log_variance: (B, N, H) ρᵛ.
        picture_mask: (B, N) likewise for visual elements.
        text: (B, H) summary of Zᵗ.
        picture: (B, H) summary of Zᵛ.
        negatives: (B, B), see `negative_pairs`.
        has_picture: (B,) True where a post has a visual modality.
    """

    text_mean: Tensor
    text_log_variance: Tensor
    text_mask: Tensor
    picture_mean: Tensor
    picture_log_variance: Tensor
    picture_mask: Tensor
    text: Tensor
    picture: Tensor
    negatives: Tensor
    has_picture: Tensor


@dataclass(frozen=True)
class BottleneckParts:
    """The parts of a `Bottleneck`.

    Attributes:
        project_words: word states (B, W, D) to (B, W, H).
        visual_sequence: modalities to one visual sequence.
        encode_text: text to μᵗ and ρᵗ.
        encode_picture: visual sequence to μᵛ and ρᵛ.
        reparameterise: sample of μ and ρ.
        picture_to_text: A of U, pictures attend to the text.
        text_to_picture: A of F, the text attends to U.
        readout: from F to the states that are scored.
        summarise_picture: Zᵛ to one vector, for the alignment.
        critic: scores pairs of texts and pictures.
        score: states of slots to K outputs.
    """

    project_words: nn.Module
    visual_sequence: nn.Module
    encode_text: GaussianEncoder
    encode_picture: GaussianEncoder
    reparameterise: Reparameterise
    picture_to_text: ResidualAttention
    text_to_picture: ResidualAttention
    readout: nn.Module
    summarise_picture: Summary
    critic: nn.Module
    score: nn.Linear


class Bottleneck(Fusion):
    """Information bottleneck over text and a visual sequence.

    Args:
        modality_widths: V of each modality besides the text, by name.
        parts: its parts.
        regularisers: terms added to the loss.
    """

    def __init__(
        self, modality_widths: Mapping[str, int], parts: BottleneckParts, regularisers: Regularisers
    ) -> None:
        super().__init__()
        self.modalities = ("text", *modality_widths)
        self.project_words, self.visual_sequence = parts.project_words, parts.visual_sequence
        self.encode_text, self.encode_picture = parts.encode_text, parts.encode_picture
        self.reparameterise = parts.reparameterise
        self.picture_to_text, self.text_to_picture = parts.picture_to_text, parts.text_to_picture
        self.readout, self.summarise_picture = parts.readout, parts.summarise_picture
        self.critic, self.score = parts.critic, parts.score
        self.regularisers = regularisers

    def forward(
        self, words: Tensor, mask: Tensor, modalities: Modalities, slots: Tensor | None = None
    ) -> FusionOutput:
        """Fuse to emissions (B, S, K); see `Fusion.forward`."""
        given = {name: modalities[name] for name in self.modalities[1:] if name in modalities}
        text = self.project_words(words)  # (B, W, H)
        picture, picture_mask = self.visual_sequence(given) if given else _no_elements(text)  # (B, N, H)
        has_picture = _has_any(given, mask)  # (B,)
        text_mean, text_log_variance = self.encode_text(text, mask)
        picture_mean, picture_log_variance = self.encode_picture(picture, picture_mask)
        z_text = self.reparameterise(text_mean, text_log_variance, self.training)  # (B, W, H)
        z_picture = self.reparameterise(picture_mean, picture_log_variance, self.training)  # (B, N, H)
        attended = self.picture_to_text(z_picture, z_text, picture_mask, mask)  # U (B, N, H)
        fused = self.text_to_picture(z_text, attended, mask, picture_mask)  # F (B, W, H)
        states = self.readout(words, z_text, fused, has_picture)
        latents = Latents(
            text_mean,
            text_log_variance,
            mask & has_picture.unsqueeze(1),
            picture_mean,
            picture_log_variance,
            picture_mask & has_picture.unsqueeze(1),
            mean_element(z_text, mask),
            self.summarise_picture(z_picture, picture_mask),
            negative_pairs(given.values()) if given else has_picture.unsqueeze(1) & has_picture,
            has_picture,
        )
        return FusionOutput(self.score(gather_slots(states, slots)), loss_inputs=latents)

    def loss(self, output: FusionOutput, targets: Tensor, mask: Tensor) -> Tensor:
        """β₁·alignment + β₂·KLᵗ + β₃·KLᵛ; posts without a visual modality are left out by the masks."""
        x, rule = output.loss_inputs, self.regularisers
        assert isinstance(x, Latents)
        alignment = rule.alignment(self.critic(x.text, x.picture), x.negatives, x.has_picture)
        text_kl = rule.kl_reduction(kl_to_standard_normal(x.text_mean, x.text_log_variance), x.text_mask)
        picture_kl = rule.kl_reduction(
            kl_to_standard_normal(x.picture_mean, x.picture_log_variance), x.picture_mask
        )
        kl = rule.text_kl_weight * text_kl + rule.picture_kl_weight * picture_kl
        return rule.alignment_weight * alignment + kl


def _has_any(modalities: Modalities, mask: Tensor) -> Tensor:
    """(B,) True where a post has any of the modalities."""
    none = torch.zeros(1, mask.shape[0], dtype=torch.bool, device=mask.device)
    return torch.cat([none, *(x.mask.any(1).unsqueeze(0) for x in modalities.values())]).any(0)


def _no_elements(text: Tensor) -> tuple[Tensor, Tensor]:
    """A visual sequence of one masked element: (B, 1, H) and (B, 1)."""
    states = text.new_zeros(text.shape[0], 1, text.shape[2])
    return states, torch.zeros(states.shape[:2], dtype=torch.bool, device=text.device)


# --- corrected parts ---------------------------------------------------------------------------------


class EmbeddedElements(nn.Module):
    """Elements of all modalities concatenated: normalised, projected, with an embedding of their modality.

    Args:
        modality_widths: V of each modality, by name.
        hidden_size: H.
    """

    def __init__(self, modality_widths: Mapping[str, int], hidden_size: int) -> None:
        super().__init__()
        # Norms without weights: the projection has them, and no gradient is computed at width V.
        self.norm = nn.ModuleDict(
            {n: nn.LayerNorm(v, elementwise_affine=False) for n, v in modality_widths.items()}
        )
        self.project = nn.ModuleDict({n: nn.Linear(v, hidden_size) for n, v in modality_widths.items()})
        self.embedding = nn.ParameterDict(
            {n: nn.Parameter(0.02 * torch.randn(hidden_size)) for n in modality_widths}
        )

    def forward(self, modalities: Modalities) -> tuple[Tensor, Tensor]:
        """Concatenate modalities (B, N, V), at least one. Returns states (B, ΣN, H) and mask (B, ΣN)."""
        states = []
        for name, modality in modalities.items():
            clean = modality.states.detach().masked_fill(~modality.mask.unsqueeze(2), 0)
            states.append(self.project[name](self.norm[name](clean)) + self.embedding[name])
        return torch.cat(states, 1), torch.cat([modality.mask for modality in modalities.values()], 1)


class ResidualReadout(nn.Module):
    """F is added to the word states through a layer that starts at zero.

    Args:
        hidden_size: H.
        width: D.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, words: Tensor, latents: Tensor, fused: Tensor, has_picture: Tensor) -> Tensor:
        """States (B, W, D) from words (B, W, D), Zᵗ and F (B, W, H), has_picture (B,)."""
        added: Tensor = self.project(fused) * has_picture[:, None, None]
        return words + added


def corrected(
    width: int,
    outputs: int,
    modality_widths: Mapping[str, int],
    slot_size: int,
    hidden_size: int,
    regularisers: Regularisers,
) -> Bottleneck:
    """The corrected form, the default, from D, K, V by name, P, H, and the terms added to the loss."""

    def attention() -> ResidualAttention:
        return ResidualAttention(hidden_size, real_keys)

    parts = BottleneckParts(
        project_words=nn.Linear(width, hidden_size),
        visual_sequence=EmbeddedElements(modality_widths, hidden_size),
        encode_text=GaussianEncoder(attention(), with_initial_log_variance(attention())),
        encode_picture=GaussianEncoder(attention(), with_initial_log_variance(attention())),
        reparameterise=sample_in_training,
        picture_to_text=attention(),
        text_to_picture=attention(),
        readout=ResidualReadout(hidden_size, width),
        summarise_picture=mean_element,
        critic=BilinearCritic(hidden_size),
        score=nn.Linear(width * slot_size, outputs),
    )
    return Bottleneck(modality_widths, parts, regularisers)
