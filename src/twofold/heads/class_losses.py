"""Losses over classes, with three treatments of imbalanced ones.

Plain cross-entropy; a larger weight for rarer classes; or the logarithms of the class frequencies are added
to the scores in training only, so that the scores need not represent them (logit adjustment, Menon et al.,
"Long-tail learning via logit adjustment", 2021, eq. 10). Class k has nₖ training examples.

Shapes: B posts, S slots, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class ClassLoss(nn.Module):
    """Cross-entropy with equal weights; base of the other losses."""

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy (B, S) of emissions (B, S, K) and targets (B, S), nats."""
        return cross_entropy(emissions.transpose(1, 2), targets, reduction="none")


class Weighted(ClassLoss):
    """Cross-entropy with the weight of class k in proportion to nₖ^−τ, with mean 1 over the examples.

    Args:
        counts: nₖ.
        strength: τ; 1 gives every class the same share of the loss, 0 is plain cross-entropy.
    """

    def __init__(self, counts: Sequence[int], strength: float) -> None:
        super().__init__()
        number = torch.tensor(counts, dtype=torch.float).clamp(min=1)
        weights = number**-strength
        self.register_buffer("weights", weights * number.sum() / (number * weights).sum(), persistent=False)

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """See `ClassLoss.forward`."""
        each: Tensor = super().forward(emissions, targets)
        return each * self.get_buffer("weights")[targets]


class LogitAdjusted(ClassLoss):
    """Cross-entropy of emissions + τ log πₖ, with πₖ the frequency of class k in training.

    Args:
        counts: nₖ.
        strength: τ; 1 makes the emissions a classifier for classes equally frequent, 0 changes nothing.
    """

    def __init__(self, counts: Sequence[int], strength: float) -> None:
        super().__init__()
        number = torch.tensor(counts, dtype=torch.float).clamp(min=1)
        self.register_buffer("offsets", strength * (number / number.sum()).log(), persistent=False)

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """See `ClassLoss.forward`."""
        each: Tensor = super().forward(emissions + self.get_buffer("offsets"), targets)
        return each
