"""Normal-Inverse-Gamma parameters to the uncertainty of a prediction and the evidence of each modality.

The variance is summed over all outputs, as for a regression on a one-hot vector: the variance of the
predicted output alone would fall again where that output is less likely than not.

It does not know what was predicted.

Shape letters: M modalities, n positions of a prediction (the words of an entity; 1 for a relation),
K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.posts import SourceEvidence, Uncertainty

Floats = NDArray[np.float32]
PredictionEvidence = tuple[Uncertainty | None, dict[str, SourceEvidence]]
"""Uncertainty after fusion, and the evidence of each modality by name."""


def prediction_evidence(
    modalities: Sequence[str],
    present: Sequence[bool],
    parts: tuple[Floats | None, Floats | None, Floats | None],
) -> PredictionEvidence:
    """Uncertainty of a prediction and the evidence of each modality, as means over the positions.

    Args:
        modalities: names of the M modalities.
        present: True for each modality that the post has; the others are left out.
        parts: evidence (M, 4, n, K), fused (4, n, K), with δ, γ, α, β along the 4, and share (M, n) in
            the predicted outputs; None for models without evidence.
    """
    evidence, fused, share = parts
    if evidence is None or fused is None or share is None:
        return None, {}
    shares = share.mean(1)  # (M,)
    aleatoric, epistemic = uncertainty(evidence)  # (M,) each
    sources = {
        name: SourceEvidence(float(shares[m]), float(aleatoric[m]), float(epistemic[m]))
        for m, name in enumerate(modalities)
        if present[m]
    }
    whole = uncertainty(fused)
    return Uncertainty(float(whole[0]), float(whole[1])), sources


def uncertainty(nig: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Aleatoric and epistemic (…), sums over K and means over n, of δ, γ, α, β (…, 4, n, K)."""
    gamma, alpha, beta = (nig[..., i, :, :].astype(np.float64) for i in (1, 2, 3))
    aleatoric = beta / (alpha - 1)
    return aleatoric.sum(-1).mean(-1), (aleatoric / gamma).sum(-1).mean(-1)
