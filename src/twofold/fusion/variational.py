"""Mathematics of the information bottleneck: residual attention, Gaussian latents, their KL, and alignment.

This module knows nothing of posts, tags or how the parts make up a method. Functions and classes with the
same signature are interchangeable; those that follow the original implementation (cuishiyao96/MMIB) say so,
and describe their faults.

Shapes: B posts, Q queries, N keys or elements, H hidden size of the latents, h heads, C scores of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from twofold.fusion.attention import attention_weights, heads_of_64, mask_by_value, split_heads
from twofold.fusion.contract import ModalityStates

# --- attention ---------------------------------------------------------------------------------------

Visibility = Callable[[Tensor, Tensor], Tensor]
"""From masks of real queries (B, Q) and real keys (B, N) to (B, 1 or Q, 1 or N), True where a query may
attend to a key."""


def real_keys(queries: Tensor, keys: Tensor) -> Tensor:
    """Attend to real keys only: (B, 1, N)."""
    return keys.unsqueeze(1)


class ResidualAttention(nn.Module):
    """A(q, k) = LN(P + WP), P = LN(q + MHA(q, k)): attention with a residual, a linear layer with another.

    Args:
        hidden_size: H.
        visibility: which queries may attend to which keys.
        dropout: dropout of the attention weights.
    """

    def __init__(self, hidden_size: int, visibility: Visibility, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.visibility = heads_of_64(hidden_size), visibility
        self.query, self.key, self.value = (nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(3))
        self.out = nn.Linear(hidden_size, hidden_size)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.norm, self.out_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.drop = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, query_mask: Tensor, key_mask: Tensor) -> Tensor:
        """Attend from queries (B, Q, H) to keys (B, N, H); masks (B, Q) and (B, N). Returns (B, Q, H)."""
        query, key, value = (
            split_heads(x, self.heads) for x in (self.query(queries), self.key(keys), self.value(keys))
        )  # (B, h, Q or N, H/h)
        visible = self.visibility(query_mask, key_mask)
        weights = self.drop(attention_weights(query, key, visible, mask_by_value))  # (B, h, Q, N)
        attended = self.out((weights @ value).transpose(1, 2).flatten(2))  # (B, Q, H)
        joined = self.norm(queries + attended)
        out: Tensor = self.out_norm(joined + self.dense(joined))
        return out


# --- latents -----------------------------------------------------------------------------------------

Reparameterise = Callable[[Tensor, Tensor, bool], Tensor]
"""From mean μ, log-variance ρ (B, N, H) and whether the model is training to a sample Z (B, N, H)."""


def sample_in_training(mean: Tensor, log_variance: Tensor, training: bool) -> Tensor:
    """Z = μ + ε·exp(ρ/2) with ε ~ N(0, 1) in training, Z = μ at inference."""
    return mean + torch.randn_like(mean) * torch.exp(log_variance / 2) if training else mean


class GaussianEncoder(nn.Module):
    """Mean μ and log-variance ρ of a Gaussian for each element, from two separate self-attentions.

    Args:
        mean: computes μ.
        log_variance: computes ρ.
    """

    def __init__(self, mean: ResidualAttention, log_variance: ResidualAttention) -> None:
        super().__init__()
        self.mean, self.log_variance = mean, log_variance

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode states (B, N, H); mask (B, N). Returns μ and ρ, (B, N, H) each."""
        return self.mean(states, states, mask, mask), self.log_variance(states, states, mask, mask)


def with_initial_log_variance(head: ResidualAttention, start: float = -4.0) -> ResidualAttention:
    """Initialise ρ near ``start``: with a default layer norm the noise would be as large as the signal."""
    nn.init.constant_(head.out_norm.weight, 0.1)
    nn.init.constant_(head.out_norm.bias, start)
    return head


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, e^ρ) ‖ N(0, 1)), elementwise, in nats: ½(μ² + e^ρ − 1 − ρ). An upper bound on I(Z; X)."""
    return 0.5 * (mean**2 + torch.exp(log_variance) - 1 - log_variance)


Reduction = Callable[[Tensor, Tensor], Tensor]
"""From the KL (B, N, H) and the mask of real elements (B, N) to a scalar."""


def sum_mean_reduction(kl: Tensor, mask: Tensor) -> Tensor:
    """Sum over the hidden size, mean over real elements; 0 where there is none."""
    real = mask.unsqueeze(2)
    return kl.masked_fill(~real, 0).sum() / real.sum().clamp(min=1)


def mean_reduction(kl: Tensor, mask: Tensor) -> Tensor:
    """Mean over posts, elements (padding included) and hidden size, as in the original implementation: H
    times smaller, with hardly any effect."""
    return kl.mean()


# --- alignment ---------------------------------------------------------------------------------------

Summary = Callable[[Tensor, Tensor], Tensor]
"""From latents (B, N, H) and their mask (B, N) to one vector per post (B, H)."""


def mean_element(latents: Tensor, mask: Tensor) -> Tensor:
    """Mean over real elements; 0 where there is none."""
    real = mask.unsqueeze(2)
    return latents.masked_fill(~real, 0).sum(1) / real.sum(1).clamp(min=1)


class BilinearCritic(nn.Module):
    """Critic tᵀWv/√H + b: high where text and picture belong together.

    Args:
        hidden_size: H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.map = nn.Linear(hidden_size, hidden_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, texts: Tensor, pictures: Tensor) -> Tensor:
        """Score each text (B, H) with each picture (B, H). Returns (B texts, B pictures, 1)."""
        scores: Tensor = self.map(texts) @ pictures.T * texts.shape[1] ** -0.5
        return scores.unsqueeze(2) + self.bias


def negative_pairs(modalities: Iterable[ModalityStates]) -> Tensor:
    """(B, B) True where the pictures of post j are a negative for the text of post i.

    Both posts must have a picture, and no modality may be equal in both: the same picture under two texts is
    not a negative. Equal means that the mean element differs by less than a thousandth.
    """
    present, same = [], []
    for modality in modalities:
        mean = mean_element(modality.states.detach(), modality.mask)  # (B, V)
        has = modality.mask.any(1)
        distance = torch.linalg.vector_norm(mean.unsqueeze(1) - mean.unsqueeze(0), dim=2)
        near = distance <= 1e-3 * torch.linalg.vector_norm(mean, dim=1)
        present.append(has)
        same.append(near & has.unsqueeze(1) & has.unsqueeze(0))
    any_present = torch.stack(present).any(0)
    return ~torch.stack(same).any(0) & any_present.unsqueeze(1) & any_present.unsqueeze(0)


Alignment = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From scores (B texts, B pictures, C), negatives (B, B) as in `negative_pairs`, and the mask (B,) of posts
with a picture to a scalar that falls as a bound on I(Zᵗ; Zᵛ) rises."""


def jsd(scores: Tensor, negatives: Tensor, has_picture: Tensor) -> Tensor:
    """Jensen–Shannon estimator: each text's own picture against the nearest earlier negative of the batch
    (the last post comes before the first). Posts without a negative are left out."""
    posts = torch.arange(len(has_picture), device=scores.device)
    distance = (posts.unsqueeze(1) - posts) % len(has_picture)
    negative = distance.masked_fill(~negatives, len(has_picture)).argmin(1)
    return _discrimination_loss(scores[posts, posts], scores[posts, negative], negatives.any(1))


def rolled_jsd(scores: Tensor, negatives: Tensor, has_picture: Tensor) -> Tensor:
    """As in the original implementation: against the batch rolled by one, even if the picture is the
    same."""
    posts = torch.arange(len(has_picture), device=scores.device)
    rolled = posts.roll(1)
    return _discrimination_loss(
        scores[posts, posts], scores[posts, rolled], has_picture & has_picture[rolled]
    )


def _discrimination_loss(positive: Tensor, negative: Tensor, included: Tensor) -> Tensor:
    """Binary cross-entropy of positive (B, C) and negative pairs (B, C), means over included posts (B,)."""
    positive_loss = binary_cross_entropy_with_logits(positive, torch.ones_like(positive), reduction="none")
    negative_loss = binary_cross_entropy_with_logits(negative, torch.zeros_like(negative), reduction="none")
    both = positive_loss.mean(1) + negative_loss.mean(1)
    return (both * included).sum() / included.sum().clamp(min=1)


def infonce(scores: Tensor, negatives: Tensor, has_picture: Tensor) -> Tensor:
    """InfoNCE: each text's own picture against all negatives of the batch, by softmax."""
    posts = torch.arange(len(has_picture), device=scores.device)
    own = posts.unsqueeze(1) == posts
    logits = scores.mean(2).masked_fill(~(negatives | own), float("-inf"))
    included = negatives.any(1)
    each = cross_entropy(logits, posts, reduction="none")
    return (each * included).sum() / included.sum().clamp(min=1)
