"""From Normal-Inverse-Gamma parameters to what is told of a prediction: two uncertainties, and sources.

The variance of a place is summed over its outputs, as that of a vector of zeros and a one is: of the
output that was chosen alone it would fall again where the choice is less likely than not.

It does not know what was predicted.

Shape letters: M sources, n places of a prediction (the words of an entity; 1 for a relation), K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.posts import SourceEvidence, Uncertainty

Floats = NDArray[np.float32]
Told = tuple[Uncertainty | None, dict[str, SourceEvidence]]


def tell(
    names: Sequence[str],
    present: Sequence[bool],
    parts: tuple[Floats | None, Floats | None, Floats | None],
) -> Told:
    """Uncertainty of a prediction and the evidence of its sources, each the mean over the places.

    Args:
        names: of the M sources.
        present: True for each source that took part; the others are left out.
        parts: evidence (M, 4, n, K), fused (4, n, K), with δ, γ, α, β along the 4, and share (M, n) in
            the outputs that were chosen; None for models without evidence.
    """
    evidence, fused, share = parts
    if evidence is None or fused is None or share is None:
        return None, {}
    shares = share.mean(1)  # (M,)
    aleatoric, epistemic = uncertainty(evidence)  # (M,) each
    sources = {
        name: SourceEvidence(float(shares[m]), float(aleatoric[m]), float(epistemic[m]))
        for m, name in enumerate(names)
        if present[m]
    }
    whole = uncertainty(fused)
    return Uncertainty(float(whole[0]), float(whole[1])), sources


def uncertainty(nig: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Aleatoric and epistemic (…), sums over K and means over n, of δ, γ, α, β (…, 4, n, K)."""
    gamma, alpha, beta = (nig[..., i, :, :].astype(np.float64) for i in (1, 2, 3))
    aleatoric = beta / (alpha - 1)
    return aleatoric.sum(-1).mean(-1), (aleatoric / gamma).sum(-1).mean(-1)
