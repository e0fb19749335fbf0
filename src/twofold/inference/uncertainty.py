"""Uncertainty of a prediction and evidence of each modality, from Normal-Inverse-Gamma parameters.

The variance is summed over all outputs, as for a regression on a one-hot vector: the variance of the
predicted output alone would fall again where that output is less likely than not.

It does not know what was predicted.

Shape letters: M modalities, n positions of a prediction (the words of an entity; 1 for a relation),
K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.posts import SourceEvidence, Uncertainty

Floats = NDArray[np.float32]
PredictionEvidence = tuple[Uncertainty | None, dict[str, SourceEvidence]]
"""Uncertainty after fusion, and the evidence of each modality by name."""


class PositionEvidence(NamedTuple):
    """Output of the network at the positions of one prediction.

    Attributes:
        present: True for each of the M modalities that the post has.
        evidence: (M, 4, n, K) with δ, γ, α, β along the 4; None for models without evidence.
        fused: (4, n, K) after pooling; None likewise.
        share: (M, n) share of each modality in the predicted outputs; None likewise.
    """

    present: Sequence[bool]
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


def prediction_evidence(
    modalities: Sequence[str], predictions: Sequence[PositionEvidence]
) -> list[PredictionEvidence]:
    """Uncertainty of predictions and the evidence of each modality, as means over their positions.

    Args:
        modalities: names of the M modalities; those that a post does not have are left out.
        predictions: of one model; any number, computed together.
    """
    evidence = [item.evidence for item in predictions if item.evidence is not None]
    fused = [item.fused for item in predictions if item.fused is not None]
    shares = [item.share for item in predictions if item.share is not None]
    if not evidence or not fused or not shares:
        return [(None, {}) for _ in predictions]
    lengths = np.array([share.shape[-1] for share in shares])
    starts = np.cumsum(lengths) - lengths

    def means(values: NDArray[np.floating]) -> list[Any]:
        """Means over the positions of each prediction, from (…, N) of all; the predictions come first."""
        return list(np.moveaxis(np.add.reduceat(values, starts, -1) / lengths, -1, 0).tolist())

    aleatoric, epistemic = map(means, _at_positions(np.concatenate(evidence, -2)))
    after_fusion = zip(*map(means, _at_positions(np.concatenate(fused, -2))), strict=True)
    share = means(np.concatenate(shares, -1))
    return [
        (
            Uncertainty(*values),
            {
                name: SourceEvidence(share[i][m], aleatoric[i][m], epistemic[i][m])
                for m, name in enumerate(modalities)
                if item.present[m]
            },
        )
        for i, (item, values) in enumerate(zip(predictions, after_fusion, strict=True))
    ]


def uncertainty(nig: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Aleatoric and epistemic (…), sums over K and means over n, of δ, γ, α, β (…, 4, n, K)."""
    aleatoric, epistemic = _at_positions(nig)
    return aleatoric.mean(-1), epistemic.mean(-1)


def _at_positions(nig: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Aleatoric and epistemic (…, n), sums over K."""
    gamma, alpha, beta = (nig[..., i, :, :].astype(np.float64) for i in (1, 2, 3))
    aleatoric = beta / (alpha - 1)
    return aleatoric.sum(-1), (aleatoric / gamma).sum(-1)
