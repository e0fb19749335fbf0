"""Uncertainty and evidence of a prediction, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.inference.uncertainty import PositionEvidence, prediction_evidence, uncertainty


def test_variances_are_summed_over_outputs_and_averaged_over_positions() -> None:
    rng = np.random.default_rng(0)
    nig = rng.uniform(2, 5, (4, 3, 6)).astype(np.float32)  # (δ γ α β, n, K)
    variances = [[nig[3, n, k] / (nig[2, n, k] - 1) for k in range(6)] for n in range(3)]
    variances_of_means = [
        [nig[3, n, k] / (nig[2, n, k] - 1) / nig[1, n, k] for k in range(6)] for n in range(3)
    ]
    aleatoric, epistemic = uncertainty(nig)
    assert aleatoric == pytest.approx(sum(map(sum, variances)) / 3, rel=1e-5)
    assert epistemic == pytest.approx(sum(map(sum, variances_of_means)) / 3, rel=1e-5)


def test_only_present_modalities_have_evidence() -> None:
    evidence = np.full((2, 4, 1, 3), 2.0, np.float32)
    evidence[1, 3] = 4.0
    share = np.array([[0.75], [0.25]], np.float32)
    part, both = (
        PositionEvidence(present, evidence, evidence[0], share) for present in ((True, False), (True, True))
    )
    (whole, sources), (_, all_sources) = prediction_evidence(("text", "picture"), [part, both])
    assert whole is not None
    assert (whole.aleatoric, whole.epistemic) == (6.0, 3.0)  # 3 outputs of 2 / (2 − 1), and half of each
    assert set(sources) == {"text"}
    assert (all_sources["picture"].share, all_sources["picture"].aleatoric) == (0.25, 12.0)


def test_predictions_together_give_the_same_as_each_alone() -> None:
    rng = np.random.default_rng(1)

    def drawn(positions: int) -> PositionEvidence:
        evidence = rng.uniform(2, 5, (2, 4, positions, 13)).astype(np.float32)
        share = rng.uniform(0, 1, (2, positions)).astype(np.float32)
        return PositionEvidence((True, positions % 2 == 0), evidence, evidence.mean(0), share)

    predictions = [drawn(positions) for positions in (1, 3, 1, 2, 12, 1)]
    together = prediction_evidence(("text", "picture"), predictions)
    for item, (whole, sources) in zip(predictions, together, strict=True):
        assert prediction_evidence(("text", "picture"), [item]) == [(whole, sources)]
        assert whole is not None
        assert item.fused is not None
        assert item.share is not None
        assert (whole.aleatoric, whole.epistemic) == pytest.approx(uncertainty(item.fused), rel=1e-12)
        assert sources["text"].share == pytest.approx(item.share[0].mean(), rel=1e-6)


def test_a_model_without_evidence_has_no_uncertainty() -> None:
    assert prediction_evidence(("text",), [PositionEvidence((True,))] * 2) == [(None, {})] * 2
    assert prediction_evidence(("text",), []) == []
