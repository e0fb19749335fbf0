"""System B: multi-granularity cross-modality fusion (MGCMT), and its corrected parts.

Liu et al., "Multi-Granularity Cross-Modality Representation Learning for Named Entity Recognition on Social
Media" (arXiv 2210.14163), after the released code. With C(q, kv) a transformer layer in which q asks kv:

    S  = C(H′, H′) over the words H′, H with its semantic augmentation; S_aux a second such layer
    P  = C(S, X)            for each source X, after self-attention: what the words see in it
    P′ = C(S, C(X′, S))     the same through the source's eyes: what of it is about the text
    F  = gP + (1−g)P′ for the coarse source, g = σ(W₁P + W₂P′ + b); gP′ + (1−g)P for fine ones
    M  = ReLU(W[F₁; …; Fₙ]), dropout 0.5;   Z = W[S; M];   emissions from Z

Loss: half that of a second task, where entities are and not of what type, on S_aux. It is handed in; for
relations there is none. The paper has two sources, regions (coarse) and objects (fine); any set is taken.

`Multigranular` is the frame; its parts are handed in. Those here are the corrected ones, the default; in
`multigranular_faithful` are the ones as released. Corrected: masks are true masks; what a source that is
absent would contribute is exactly nothing; source states are normalised first; the layers work in a small
inner width, and what they add to H and S starts at zero, so that training starts at `text_only`. Without
any source Z = S, the text-only limit: self-attention over the words and a linear map.

Shapes: B posts, W words, D width, N elements of a source, V its width, H inner width, S slots, P words of a
slot, K outputs, n sources besides text and augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from twofold.fusion.attention import Gate, Layer
from twofold.fusion.contract import Fused, Fusion, Source, at_slots

AUGMENTATION = "neighbours"
"""The source with a state a word, which augments the text instead of being looked at."""
COARSE = frozenset({"picture", "whole"})
"""Sources of the coarse grain; the gates of all others are the other way round."""
HEADS = 4


class SecondTask(NamedTuple):
    """What trains S_aux.

    Attributes:
        module: S_aux (B, W, D), targets (B, W) and mask (B, W) to nats (B,).
        weight: in the loss.
    """

    module: nn.Module
    weight: float = 0.5


class Multigranular(Fusion):
    """The frame: what is read, seen and joined, in order.

    Args:
        width: D.
        outputs: K.
        places: P.
        augment: words (B, W, D), the augmentation (a `Source` with N = W, or None) to words; None for a
            model without augmentation.
        read: words (B, W, D) and mask (B, W) to S (B, W, D).
        paths: for each source, S, the words' mask and the source (or None) to F (B, W, H).
        join: S, and F and presence (B,) of each source, to Z (B, W, D).
        read_aux: as ``read``, to S_aux. second: the second task; None for a model without, which then
            has no S_aux either.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        places: int,
        *,
        augment: nn.Module | None,
        read: nn.Module,
        paths: Mapping[str, nn.Module],
        join: nn.Module,
        read_aux: nn.Module,
        second: SecondTask | None,
    ) -> None:
        super().__init__()
        self.sources = ("text", *paths, *([AUGMENTATION] if augment is not None else []))
        self.augment, self.read, self.join = augment, read, join
        self.paths = nn.ModuleDict(paths)
        self.score = nn.Linear(width * places, outputs)
        self.read_aux = read_aux if second else None
        self.second = second.module if second else None
        self.second_weight = second.weight if second else 0.0

    def forward(
        self, words: Tensor, mask: Tensor, sources: Mapping[str, Source], slots: Tensor | None = None
    ) -> Fused:
        """Score slots to emissions (B, S, K); see `Fusion.forward`."""
        if self.augment is not None:
            words = self.augment(words, sources.get(AUGMENTATION))
        read = self.read(words, mask)
        absent = torch.zeros_like(mask[:, 0])
        seen = [path(read, mask, sources.get(name)) for name, path in self.paths.items()]
        there = [sources[name].mask.any(1) if name in sources else absent for name in self.paths]
        joined = self.join(read, seen, there)  # (B, W, D)
        internal = () if self.read_aux is None else (self.read_aux(words, mask),)
        return Fused(self.score(at_slots(joined, slots)), internal=internal)

    def loss(self, fused: Fused, targets: Tensor, mask: Tensor) -> Tensor:
        """Weighted loss of the second task, mean over posts; 0 without one. See `Fusion.loss`."""
        if self.second is None:
            return fused.emissions.new_zeros(())
        nats: Tensor = self.second(fused.internal[0], targets, mask)
        return self.second_weight * nats.mean()


def corrected(
    width: int,
    outputs: int,
    source_widths: Mapping[str, int],
    places: int,
    inner: int,
    augment: nn.Module | None,
    second: SecondTask | None,
) -> Multigranular:
    """The corrected form; its arguments are those of `Multigranular`, V of each source, and H."""
    return Multigranular(
        width,
        outputs,
        places,
        augment=augment,
        read=Reading(width, inner),
        paths={
            n: (CoarsePaths if n in COARSE else FinePaths)(width, v, inner) for n, v in source_widths.items()
        },
        join=Join(width, inner, len(source_widths)),
        read_aux=Reading(width, inner),
        second=second,
    )


# --- augmentation of the words -----------------------------------------------------------------------


class Added(nn.Module):
    """H + W a: the neighbours' mean added; W starts at zero. A word without neighbours stays as it is.

    Args:
        width: D.
        source_width: V of the augmentation.
    """

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(source_width, elementwise_affine=False)
        self.map = _closed(nn.Linear(source_width, width))

    def forward(self, words: Tensor, neighbours: Source | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        if neighbours is None:
            return words
        added = self.map(self.norm(_real(neighbours))) * neighbours.mask.unsqueeze(2)
        augmented: Tensor = words + added
        return augmented


class Gated(nn.Module):
    """gH + (1−g)A with A = W a, g = σ(W₁H + W₂A + b); b starts where g is 0.98: nearly shut.

    Args:
        width: D.
        source_width: V of the augmentation.
    """

    def __init__(self, width: int, source_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(source_width, elementwise_affine=False)
        self.map = nn.Linear(source_width, width)
        self.gate = Gate(width)
        nn.init.constant_(self.gate.first.bias, 4.0)

    def forward(self, words: Tensor, neighbours: Source | None) -> Tensor:
        """Augment words (B, W, D) with neighbours (B, W, V); returns (B, W, D)."""
        if neighbours is None:
            return words
        mixed = self.gate(words, self.map(self.norm(_real(neighbours))))
        return torch.where(neighbours.mask.unsqueeze(2), mixed, words)


# --- corrected parts ---------------------------------------------------------------------------------


class Reading(nn.Module):
    """S = H + W C(H, H): self-attention over the words in an inner width; W starts at zero.

    Args:
        width: D.
        inner: H.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, inner), _closed(nn.Linear(inner, width))
        self.layer = _small_layer(inner)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Read words (B, W, D) with mask (B, W); returns (B, W, D)."""
        small = self.down(words)
        read: Tensor = words + self.up(self.layer(small, small, mask))
        return read


class CoarsePaths(nn.Module):
    """Both ways to a coarse source, regions of the picture: F = gP + (1−g)P′.

    Args:
        width: D.
        source_width: V.
        inner: H.
    """

    def __init__(self, width: int, source_width: int, inner: int) -> None:
        super().__init__()
        self.inner = inner
        self.norm = nn.LayerNorm(source_width, elementwise_affine=False)
        self.ask = nn.Linear(width, inner)
        self.project = nn.Linear(source_width, 2 * inner)  # to X and to X′
        self.own, self.own_back, self.look, self.back, self.again = (_small_layer(inner) for _ in range(5))
        self.gate = Gate(inner)

    def forward(self, read: Tensor, mask: Tensor, source: Source | None) -> Tensor:
        """Look from S (B, W, D), mask (B, W), at a source (B, N, V); F (B, W, H), 0 where it is absent."""
        if source is None:
            return read.new_zeros(*read.shape[:2], self.inner)
        states, asking = self.norm(_real(source)), self.ask(read)
        own, own_back = self.project(states).chunk(2, 2)  # (B, N, H) each
        own, own_back = self.own(own, own, source.mask), self.own_back(own_back, own_back, source.mask)
        direct = self.look(asking, own, source.mask)
        back = self.again(asking, self.back(own_back, asking, mask), source.mask)
        return self.mix(direct, back) * source.mask.any(1)[:, None, None]

    def mix(self, direct: Tensor, back: Tensor) -> Tensor:
        """F (B, W, H) of P and P′."""
        mixed: Tensor = self.gate(direct, back)
        return mixed


class FinePaths(CoarsePaths):
    """Both ways to a fine source, objects or texts: F = gP′ + (1−g)P, in this order as released."""

    def mix(self, direct: Tensor, back: Tensor) -> Tensor:
        """F (B, W, H) of P and P′."""
        mixed: Tensor = self.gate(back, direct)
        return mixed


class Join(nn.Module):
    """Z = S + W M, M = ReLU(W[F₁; …; Fₙ]) where any source is there; the outer W starts at zero.

    The released Z = W[S; M] with its square block for S left out: the linear map to the emissions that
    follows can hold it. A post without sources has M = 0, bias included, and so Z = S.

    Args:
        width: D.
        inner: H.
        count: n.
    """

    def __init__(self, width: int, inner: int, count: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.merge = nn.Linear(inner * max(1, count), inner)
        self.drop = nn.Dropout(dropout)
        self.up = _closed(nn.Linear(inner, width, bias=False))

    def forward(self, read: Tensor, seen: Sequence[Tensor], there: Sequence[Tensor]) -> Tensor:
        """Join S (B, W, D) with n F (B, W, H), there (B,) or not; returns Z (B, W, D)."""
        if not seen:
            return read
        some = torch.stack(list(there), 1).any(1)[:, None, None]
        merged = self.drop(torch.relu(self.merge(torch.cat(list(seen), 2)))) * some
        joined: Tensor = read + self.up(merged)
        return joined


def _small_layer(inner: int) -> Layer:
    return Layer(inner, HEADS, inner, weight_dropout=0.0)


def _real(source: Source) -> Tensor:
    """States (B, N, V) of a source, 0 where masked, whatever lay there; no gradient goes to its encoder."""
    return source.states.detach().masked_fill(~source.mask.unsqueeze(2), 0)


def _closed(linear: nn.Linear) -> nn.Linear:
    """A map that gives nothing before training."""
    nn.init.zeros_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return linear
