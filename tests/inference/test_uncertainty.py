"""What is told of a prediction's evidence, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.inference.uncertainty import prediction_evidence, uncertainty


def test_variances_are_summed_over_outputs_and_averaged_over_places() -> None:
    rng = np.random.default_rng(0)
    nig = rng.uniform(2, 5, (4, 3, 6)).astype(np.float32)  # (δ γ α β, n, K)
    places = [[nig[3, n, k] / (nig[2, n, k] - 1) for k in range(6)] for n in range(3)]
    means = [[nig[3, n, k] / (nig[2, n, k] - 1) / nig[1, n, k] for k in range(6)] for n in range(3)]
    aleatoric, epistemic = uncertainty(nig)
    assert aleatoric == pytest.approx(sum(map(sum, places)) / 3, rel=1e-5)
    assert epistemic == pytest.approx(sum(map(sum, means)) / 3, rel=1e-5)


def test_only_sources_that_took_part_are_told_of() -> None:
    evidence = np.full((2, 4, 1, 3), 2.0, np.float32)
    evidence[1, 3] = 4.0
    share = np.array([[0.75], [0.25]], np.float32)
    whole, sources = prediction_evidence(("text", "picture"), (True, False), (evidence, evidence[0], share))
    assert whole is not None
    assert (whole.aleatoric, whole.epistemic) == (6.0, 3.0)  # 3 outputs of 2 / (2 − 1), and a half of each
    assert set(sources) == {"text"}
    both = prediction_evidence(("text", "picture"), (True, True), (evidence, evidence[0], share))[1]
    assert (both["picture"].share, both["picture"].aleatoric) == (0.25, 12.0)


def test_a_model_without_evidence_has_no_uncertainty() -> None:
    assert prediction_evidence(("text",), (True,), (None, None, None)) == (None, {})
