"""System C: variational information bottleneck, what pictures and text may say squeezed through noise.

After "Enhancing Multimodal Entity and Relation Extraction with Variational Information Bottleneck"
(arXiv 2304.02328) and its released code (cuishiyao96/MMIB). Words and visual elements become Gaussians,
Zᵗ and Zᵛ. Two regularisers: the KL of each to N(0, I), an upper bound on I(Z; X), and an alignment, a
lower bound on I(Zᵗ; Zᵛ). Pictures ask the text, then the text asks that:

    U = A(Zᵛ, Zᵗ, Zᵗ)    F = A(Zᵗ, U, U)    L = task + β₁·alignment + β₂·KLᵗ + β₃·KLᵛ

The visual sequence is the elements of all sources besides the text. Two forms, of the same parts:

- `corrected`: latents of a width of their own; F is added to the words' states through a layer that starts
  at zero, so that training starts at `text_only`; padding is masked; noise in training only; the same
  picture is never its own counter-example. RECONSTRUCTED, since the paper knows no absent picture: without
  a visual source emissions are `text_only`'s with the same weights, and nothing is regularised.
- `faithful`: emissions from F alone, latents as wide as the words, attention masks that blank queries,
  noise at test for relations, released inputs and critic. What it cannot repeat: the fusion sees words
  and no [CLS], whose place in the alignment the mean of the words' latents takes. RECONSTRUCTED
  likewise: without a visual source emissions are linear in Zᵗ.

The choice of alignment and of the KL's reduction is handed to either form.

Shapes: B posts, W words, D width, N visual elements, V width of a source, H width of latents, S slots, P
words of a slot, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.fusion.contract import Fused, Fusion, Source, at_slots
from twofold.fusion.variational import (
    Additive,
    Alignment,
    Attention,
    Draw,
    GaussianEncoder,
    Product,
    Reduction,
    Summary,
    blanked_queries,
    divergence,
    first_element,
    masked_keys,
    mean_element,
    noise_in_training,
    other_pictures,
    quiet,
)


@dataclass(frozen=True, slots=True)
class Regularisers:
    """What is added to the task's loss.

    Attributes:
        alignment: estimator of I(Zᵗ; Zᵛ).
        reduction: of the KL to a scalar.
        weights: β₁ of the alignment, β₂ of KLᵗ, β₃ of KLᵛ.
    """

    alignment: Alignment
    reduction: Reduction
    weights: tuple[float, float, float]


class Latents(NamedTuple):
    """What the regularisers need of a batch.

    Attributes:
        text_mean, text_spread: (B, W, H) μᵗ, ρᵗ. text_mask: (B, W).
        picture_mean, picture_spread: (B, N, H) μᵛ, ρᵛ. picture_mask: (B, N).
        text, picture: (B, H) summaries of Zᵗ and Zᵛ.
        rivals: (B, B), see `other_pictures`. seen: (B,) True where a post has a visual source.
    """

    text_mean: Tensor
    text_spread: Tensor
    text_mask: Tensor
    picture_mean: Tensor
    picture_spread: Tensor
    picture_mask: Tensor
    text: Tensor
    picture: Tensor
    rivals: Tensor
    seen: Tensor


# --- the visual sequence: two slots ------------------------------------------------------------------


class TypedElements(nn.Module):
    """Elements of all sources side by side: normalised, projected, with a vector for their source.

    Args:
        source_widths: V of each source, by name.
        inner: H.
    """

    def __init__(self, source_widths: Mapping[str, int], inner: int) -> None:
        super().__init__()
        # Norms without weights: the projection has them, and no gradient runs through V numbers.
        self.norm = nn.ModuleDict(
            {n: nn.LayerNorm(v, elementwise_affine=False) for n, v in source_widths.items()}
        )
        self.project = nn.ModuleDict({n: nn.Linear(v, inner) for n, v in source_widths.items()})
        self.kind = nn.ParameterDict({n: nn.Parameter(0.02 * torch.randn(inner)) for n in source_widths})

    def forward(self, sources: Mapping[str, Source]) -> tuple[Tensor, Tensor]:
        """Join sources (B, N, V), at least one. Returns states (B, ΣN, H) and mask (B, ΣN)."""
        states = []
        for name, source in sources.items():
            clean = source.states.detach().masked_fill(~source.mask.unsqueeze(2), 0)
            states.append(self.project[name](self.norm[name](clean)) + self.kind[name])
        return torch.cat(states, 1), torch.cat([source.mask for source in sources.values()], 1)


class BareElements(nn.Module):
    """As released: one projection for all sources of a width, no normalisation; masked elements are zeros, as
    the black pictures put in the place of missing crops, and are attended like others.

    Args:
        source_widths: V of each source, by name.
        inner: H.
    """

    def __init__(self, source_widths: Mapping[str, int], inner: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict({str(v): nn.Linear(v, inner) for v in source_widths.values()})

    def forward(self, sources: Mapping[str, Source]) -> tuple[Tensor, Tensor]:
        """Join sources (B, N, V), at least one. Returns states (B, ΣN, H) and mask (B, ΣN), all True."""
        states = []
        for source in sources.values():
            clean = source.states.detach().masked_fill(~source.mask.unsqueeze(2), 0)
            states.append(self.project[str(clean.shape[2])](clean))
        joined = torch.cat(states, 1)
        return joined, torch.ones(joined.shape[:2], dtype=torch.bool, device=joined.device)


# --- from the fused latents to states: two slots -----------------------------------------------------


class Beside(nn.Module):
    """F is added to the words' states through a layer that starts at zero.

    Args:
        inner: H.
        width: D.
    """

    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.open = nn.Linear(inner, width)
        nn.init.zeros_(self.open.weight)
        nn.init.zeros_(self.open.bias)

    def forward(self, words: Tensor, latents: Tensor, fused: Tensor, seen: Tensor) -> Tensor:
        """States (B, W, D) from words (B, W, D), Zᵗ and F (B, W, H), seen (B,)."""
        added: Tensor = self.open(fused) * seen[:, None, None]
        return words + added


class Through(nn.Module):
    """As released: F in the place of the words' states; Zᵗ for a post with nothing to see."""

    def forward(self, words: Tensor, latents: Tensor, fused: Tensor, seen: Tensor) -> Tensor:
        """States (B, W, H) from words (B, W, D), Zᵗ and F (B, W, H), seen (B,)."""
        return torch.where(seen[:, None, None], fused, latents)


# --- the fusion --------------------------------------------------------------------------------------


class Bottleneck(Fusion):
    """Information bottleneck over text and a visual sequence; its parts are handed in.

    Args:
        source_widths: V of each source besides the text, by name.
        words_in: words' states (B, W, D) to (B, W, H).
        elements: sources to one visual sequence.
        encode_text, encode_picture: to μ and ρ.
        draw: Z of μ and ρ.
        ask_text: A of U, pictures ask the text. ask_picture: A of F, the text asks that.
        readout: from F to the states that are scored.
        whole: one vector of Zᵛ, for the alignment.
        critic: scores of texts with pictures.
        score: states at slots to K outputs.
        regularisers: what is added to the loss.
    """

    def __init__(
        self,
        source_widths: Mapping[str, int],
        *,
        words_in: nn.Module,
        elements: nn.Module,
        encode_text: GaussianEncoder,
        encode_picture: GaussianEncoder,
        draw: Draw,
        ask_text: Attention,
        ask_picture: Attention,
        readout: nn.Module,
        whole: Summary,
        critic: nn.Module,
        score: nn.Linear,
        regularisers: Regularisers,
    ) -> None:
        super().__init__()
        self.sources = ("text", *source_widths)
        self.words_in, self.elements = words_in, elements
        self.encode_text, self.encode_picture, self.draw = encode_text, encode_picture, draw
        self.ask_text, self.ask_picture, self.readout = ask_text, ask_picture, readout
        self.whole, self.critic, self.score, self.regularisers = whole, critic, score, regularisers

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Fuse to emissions (B, S, K); see `Fusion.forward`."""
        given = {name: sources[name] for name in self.sources[1:] if name in sources}
        text = self.words_in(words)  # (B, W, H)
        picture, picture_mask = self.elements(given) if given else _nothing(text)  # (B, N, H)
        seen = _seen(given, mask)  # (B,)
        text_mean, text_spread = self.encode_text(text, mask)
        picture_mean, picture_spread = self.encode_picture(picture, picture_mask)
        z_text = self.draw(text_mean, text_spread, self.training)  # (B, W, H)
        z_picture = self.draw(picture_mean, picture_spread, self.training)  # (B, N, H)
        asked = self.ask_text(z_picture, z_text, picture_mask, mask)  # U (B, N, H)
        fused = self.ask_picture(z_text, asked, mask, picture_mask)  # F (B, W, H)
        states = self.readout(words, z_text, fused, seen)
        latents = Latents(
            text_mean,
            text_spread,
            mask & seen.unsqueeze(1),
            picture_mean,
            picture_spread,
            picture_mask & seen.unsqueeze(1),
            mean_element(z_text, mask),
            self.whole(z_picture, picture_mask),
            other_pictures(given.values()) if given else seen.unsqueeze(1) & seen,
            seen,
        )
        return Fused(self.score(at_slots(states, slots)), internal=latents)

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """β₁·alignment + β₂·KLᵗ + β₃·KLᵛ; posts without a visual source take no part where masks count."""
        x = Latents(*fused.internal)
        rule = self.regularisers
        terms = (
            rule.alignment(self.critic(x.text, x.picture), x.rivals, x.seen),
            rule.reduction(divergence(x.text_mean, x.text_spread), x.text_mask),
            rule.reduction(divergence(x.picture_mean, x.picture_spread), x.picture_mask),
        )
        total = fused.emissions.new_zeros(())
        for weight, term in zip(rule.weights, terms, strict=True):
            total = total + weight * term
        return total


def _seen(sources: Mapping[str, Source], mask: Tensor) -> Tensor:
    """(B,) True where a post has any of the sources."""
    none = torch.zeros(1, mask.shape[0], dtype=torch.bool, device=mask.device)
    return torch.cat([none, *(source.mask.any(1).unsqueeze(0) for source in sources.values())]).any(0)


def _nothing(text: Tensor) -> tuple[Tensor, Tensor]:
    """A visual sequence of one element that is not real: (B, 1, H) and (B, 1)."""
    states = text.new_zeros(text.shape[0], 1, text.shape[2])
    return states, torch.zeros(states.shape[:2], dtype=torch.bool, device=text.device)


def corrected(
    width: int, outputs: int, source_widths: Mapping[str, int], places: int, inner: int, rule: Regularisers
) -> Bottleneck:
    """The form to use; arguments as in `Bottleneck`: D, K, V by name, P, H."""

    def attention() -> Attention:
        return Attention(inner, masked_keys)

    return Bottleneck(
        source_widths,
        words_in=nn.Linear(width, inner),
        elements=TypedElements(source_widths, inner),
        encode_text=GaussianEncoder(attention(), quiet(attention())),
        encode_picture=GaussianEncoder(attention(), quiet(attention())),
        draw=noise_in_training,
        ask_text=attention(),
        ask_picture=attention(),
        readout=Beside(inner, width),
        whole=mean_element,
        critic=Product(inner),
        score=nn.Linear(width * places, outputs),
        regularisers=rule,
    )


def faithful(
    width: int, outputs: int, source_widths: Mapping[str, int], places: int, draw: Draw, rule: Regularisers
) -> Bottleneck:
    """As released; arguments as in `Bottleneck`: D, K, V by name, P. Latents are as wide as the words."""

    def attention() -> Attention:
        return Attention(width, blanked_queries)

    return Bottleneck(
        source_widths,
        words_in=nn.Identity(),
        elements=BareElements(source_widths, width),
        encode_text=GaussianEncoder(attention(), attention()),
        encode_picture=GaussianEncoder(attention(), attention()),
        draw=draw,
        ask_text=attention(),
        ask_picture=attention(),
        readout=Through(),
        whole=first_element,
        critic=Additive(width),
        score=nn.Linear(width * places, outputs),
        regularisers=rule,
    )
