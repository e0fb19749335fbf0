"""Mathematics of the information bottleneck: attention, Gaussian latents, their KL, and alignment.

Nothing here knows posts, tags or which parts make up a method. Each pair of functions or classes with one
signature is a slot: one that is right, and one as released (cuishiyao96/MMIB), which behaves as its
docstring says.

Shapes: B posts, Q queries, N keys or elements, H width of latents, h heads, C scores of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from twofold.fusion.contract import Source

HEAD_WIDTH = 64
CLOSED = -1e4
"""Score of an attention that must not happen; finite, so that nothing to attend to gives no NaN."""

# --- attention ---------------------------------------------------------------------------------------

Masking = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From scores (B, h, Q, N), and True where queries (B, Q) and keys (B, N) are real, to scores."""


def masked_keys(scores: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Attend to real keys only."""
    return scores.masked_fill(~keys[:, None, None, :], CLOSED)


def blanked_queries(scores: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """As released: queries that are padding attend to all keys alike, and keys that are padding are attended
    by everyone, so that what is found in a post depends on the length of the longest in its batch."""
    return scores.masked_fill(~queries[:, None, :, None], CLOSED)


class Attention(nn.Module):
    """A(q, k) = LN(P + WP), P = LN(q + MHA(q, k)): attention with a residual, a linear layer with another.

    Args:
        width: H.
        masking: which scores count.
        dropout: of attention weights.
    """

    def __init__(self, width: int, masking: Masking, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = next(h for h in range(max(1, width // HEAD_WIDTH), 0, -1) if width % h == 0)
        self.masking = masking
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        self.norm, self.out_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, query_mask: Tensor, key_mask: Tensor) -> Tensor:
        """Let queries (B, Q, H) ask keys (B, N, H); masks (B, Q) and (B, N). Returns (B, Q, H)."""
        query, key, value = (
            self._split(x) for x in (self.query(queries), self.key(keys), self.value(keys))
        )  # (B, h, Q or N, H/h)
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5  # (B, h, Q, N)
        weights = self.drop(torch.softmax(self.masking(scores, query_mask, key_mask), -1))
        found = self.out((weights @ value).transpose(1, 2).flatten(2))  # (B, Q, H)
        joined = self.norm(queries + found)
        answer: Tensor = self.out_norm(joined + self.dense(joined))
        return answer

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, N, H) -> (B, h, N, H/h)
        return split


# --- latents -----------------------------------------------------------------------------------------

Draw = Callable[[Tensor, Tensor, bool], Tensor]
"""From mean μ and log-variance ρ (B, N, H), and whether this is training, to Z (B, N, H)."""


def noise_in_training(mean: Tensor, spread: Tensor, training: bool) -> Tensor:
    """Z = μ + ε·exp(ρ/2) in training, Z = μ in use."""
    return mean + torch.randn_like(mean) * torch.exp(spread / 2) if training else mean


def noise_always(mean: Tensor, spread: Tensor, training: bool) -> Tensor:
    """As released for relations: a draw in use as well, so that results are random. An exported graph holds
    no draw, whichever slot is chosen."""
    return noise_in_training(mean, spread, not torch.onnx.is_in_onnx_export())


class GaussianEncoder(nn.Module):
    """Mean μ and log-variance ρ of a Gaussian for each element, each from a self-attention of its own.

    Args:
        mean: gives μ.
        spread: gives ρ.
    """

    def __init__(self, mean: Attention, spread: Attention) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode states (B, N, H); mask (B, N). Returns μ and ρ, (B, N, H) each."""
        return self.mean(states, states, mask, mask), self.spread(states, states, mask, mask)


def quiet(spread: Attention, start: float = -4.0) -> Attention:
    """Let ρ begin near ``start``: noise as loud as the signal, as after a fresh layer norm, hides it."""
    nn.init.constant_(spread.out_norm.weight, 0.1)
    nn.init.constant_(spread.out_norm.bias, start)
    return spread


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """KL(N(μ, e^ρ) ‖ N(0, 1)) of each number, in nats: ½(μ² + e^ρ − 1 − ρ). An upper bound on I(Z; X)."""
    return 0.5 * (mean**2 + torch.exp(spread) - 1 - spread)


Reduction = Callable[[Tensor, Tensor], Tensor]
"""From the divergence (B, N, H) and True where elements (B, N) are real to a scalar."""


def textbook(each: Tensor, mask: Tensor) -> Tensor:
    """Sum over the width, mean over real elements; 0 where there is none."""
    real = mask.unsqueeze(2)
    return each.masked_fill(~real, 0).sum() / real.sum().clamp(min=1)


def released(each: Tensor, mask: Tensor) -> Tensor:
    """As released: mean over posts, elements (padding included) and width: H times smaller, nearly inert."""
    return each.mean()


# --- alignment ---------------------------------------------------------------------------------------

Summary = Callable[[Tensor, Tensor], Tensor]
"""From latents (B, N, H) and their mask (B, N) to one vector a post (B, H)."""


def mean_element(latents: Tensor, mask: Tensor) -> Tensor:
    """Mean over real elements; 0 where there is none."""
    real = mask.unsqueeze(2)
    return latents.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)


def first_element(latents: Tensor, mask: Tensor) -> Tensor:
    """The first element, the whole picture where the sources begin with ``whole``."""
    return latents[:, 0]


class Product(nn.Module):
    """Critic tᵀWv/√H + b: high where text and picture go together.

    Args:
        width: H.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turn = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, texts: Tensor, pictures: Tensor) -> Tensor:
        """Score each text (B, H) with each picture (B, H). Returns (B texts, B pictures, 1)."""
        scores: Tensor = self.turn(texts) @ pictures.T * texts.shape[1] ** -0.5
        return scores.unsqueeze(2) + self.bias


class Additive(nn.Module):
    """As released: H scores, each linear in [t; v], and so a part of the text plus a part of the picture.

    It cannot tell pairs: over a batch, own and rolled pairs have the same sum of scores, so by convexity
    its loss never falls below 2 log 2, which it has at 0. The alignment is inert.

    Args:
        width: H.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(2 * width, width)

    def forward(self, texts: Tensor, pictures: Tensor) -> Tensor:
        """Score each text (B, H) with each picture (B, H). Returns (B texts, B pictures, H)."""
        posts = texts.shape[0]
        pairs = [texts.unsqueeze(1).expand(-1, posts, -1), pictures.unsqueeze(0).expand(posts, -1, -1)]
        scores: Tensor = self.score(torch.cat(pairs, 2))
        return scores


def other_pictures(sources: Iterable[Source]) -> Tensor:
    """(B, B) True where post j's sources may stand against post i's own as those of another post.

    Both must have one, and none that both have may be equal: the same picture under two texts is no
    counter-example. Equal means that the mean element differs by less than a thousandth.
    """
    seen, same = [], []
    for source in sources:
        mean = mean_element(source.states.detach(), source.mask)  # (B, V)
        there = source.mask.any(1)
        apart = torch.linalg.vector_norm(mean.unsqueeze(1) - mean.unsqueeze(0), dim=2)
        near = apart <= 1e-3 * torch.linalg.vector_norm(mean, dim=1)
        seen.append(there)
        same.append(near & there.unsqueeze(1) & there.unsqueeze(0))
    anything = torch.stack(seen).any(0)
    return ~torch.stack(same).any(0) & anything.unsqueeze(1) & anything.unsqueeze(0)


Alignment = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From scores (B texts, B pictures, C), rivals (B, B) as in `other_pictures`, and True for posts (B,) that
have a picture, to a scalar that falls as a bound on I(Zᵗ; Zᵛ) rises."""


def jsd(scores: Tensor, rivals: Tensor, seen: Tensor) -> Tensor:
    """Jensen–Shannon estimator: each text's own picture against the nearest earlier post's (the last comes
    before the first) that is another one. Posts without a rival take no part."""
    posts = torch.arange(len(seen), device=scores.device)
    distance = (posts.unsqueeze(1) - posts) % len(seen)
    rival = distance.masked_fill(~rivals, len(seen)).argmin(1)
    return _told_apart(scores[posts, posts], scores[posts, rival], rivals.any(1))


def released_jsd(scores: Tensor, rivals: Tensor, seen: Tensor) -> Tensor:
    """As released: against the batch rolled by one, also where that is the same picture."""
    posts = torch.arange(len(seen), device=scores.device)
    rolled = posts.roll(1)
    return _told_apart(scores[posts, posts], scores[posts, rolled], seen & seen[rolled])


def _told_apart(own: Tensor, other: Tensor, part: Tensor) -> Tensor:
    """Binary cross-entropy of own (B, C) and other pairs (B, C), means over the posts that take part (B,)."""
    right = binary_cross_entropy_with_logits(own, torch.ones_like(own), reduction="none").mean(1)
    wrong = binary_cross_entropy_with_logits(other, torch.zeros_like(other), reduction="none").mean(1)
    return ((right + wrong) * part).sum() / part.sum().clamp(min=1)


def infonce(scores: Tensor, rivals: Tensor, seen: Tensor) -> Tensor:
    """InfoNCE: each text's own picture against those of all rivals in the batch, by softmax."""
    posts = torch.arange(len(seen), device=scores.device)
    own = posts.unsqueeze(1) == posts
    logits = scores.mean(2).masked_fill(~(rivals | own), float("-inf"))
    part = rivals.any(1)
    each = cross_entropy(logits, posts, reduction="none")
    return (each * part).sum() / part.sum().clamp(min=1)
