"""How a loss over classes deals with classes of unlike size.

Three ways: as they come; rarer classes weigh more; or the classes' frequencies are added to the scores in
training only, so that the scores themselves need not carry them (logit adjustment, Menon et al., "Long-tail
learning via logit adjustment", 2021, eq. 10). Class k was seen nₖ times.

Shapes: B posts, S slots, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class Balance(nn.Module):
    """Cross-entropy with all classes alike; base of the other ways."""

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy (B, S) of emissions (B, S, K) and targets (B, S), nats."""
        return cross_entropy(emissions.transpose(1, 2), targets, reduction="none")


class Weighted(Balance):
    """Class k weighs in proportion to nₖ^−τ, with mean 1 over the examples.

    Args:
        counts: nₖ.
        strength: τ; 1 gives every class the same part in the loss, 0 is plain cross-entropy.
    """

    def __init__(self, counts: Sequence[int], strength: float) -> None:
        super().__init__()
        seen = torch.tensor(counts, dtype=torch.float).clamp(min=1)
        weights = seen**-strength
        self.register_buffer("weights", weights * seen.sum() / (seen * weights).sum(), persistent=False)

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """See `Balance.forward`."""
        each: Tensor = super().forward(emissions, targets)
        return each * self.get_buffer("weights")[targets]


class Adjusted(Balance):
    """Cross-entropy of emissions + τ log πₖ, with πₖ the part of class k in training.

    Args:
        counts: nₖ.
        strength: τ; 1 makes the emissions a classifier for classes equally frequent, 0 changes nothing.
    """

    def __init__(self, counts: Sequence[int], strength: float) -> None:
        super().__init__()
        seen = torch.tensor(counts, dtype=torch.float).clamp(min=1)
        self.register_buffer("offsets", strength * (seen / seen.sum()).log(), persistent=False)

    def forward(self, emissions: Tensor, targets: Tensor) -> Tensor:
        """See `Balance.forward`."""
        each: Tensor = super().forward(emissions + self.get_buffer("offsets"), targets)
        return each
