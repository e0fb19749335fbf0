"""Ensemble uncertainty is compared with sums over all outcomes and members."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ensemble_uncertainty import binary_ensemble_uncertainty, ensemble_uncertainty, entropy


def distributions(members: int, items: int, outcomes: int) -> np.ndarray:
    drawn = np.random.default_rng(0).gamma(0.5, size=(members, items, outcomes))
    return drawn / drawn.sum(-1, keepdims=True)


def test_parts_equal_those_of_the_joint_distribution_of_outcome_and_member() -> None:
    probabilities = distributions(4, 3, 5)
    found = ensemble_uncertainty(probabilities)
    for item in range(3):
        joint = probabilities[:, item] / 4  # member drawn uniformly, then the outcome
        outcome = joint.sum(0)
        mutual = sum(
            joint[m, k] * math.log(joint[m, k] / (outcome[k] / 4)) for m in range(4) for k in range(5)
        )
        assert found.epistemic[item] == pytest.approx(mutual)
        assert found.total[item] == pytest.approx(-sum(p * math.log(p) for p in outcome))
        conditional = -sum(p * math.log(p * 4) for p in joint.ravel())
        assert found.aleatoric[item] == pytest.approx(conditional)
    np.testing.assert_allclose(found.total, found.aleatoric + found.epistemic)


def test_identical_members_have_no_epistemic_uncertainty() -> None:
    same = np.repeat(distributions(1, 6, 4), 5, axis=0)
    np.testing.assert_allclose(ensemble_uncertainty(same).epistemic, 0, atol=1e-12)
    certain = np.eye(3)[:, None]  # each member is certain of a different outcome
    assert ensemble_uncertainty(certain).epistemic == pytest.approx(math.log(3))
    assert ensemble_uncertainty(certain).aleatoric == pytest.approx(0)


def test_an_event_is_a_distribution_over_two_outcomes() -> None:
    probabilities = np.array([[0.9, 0.0], [0.1, 0.0]])
    found = binary_ensemble_uncertainty(probabilities)
    assert found.total.tolist() == pytest.approx([math.log(2), 0])
    one = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert found.aleatoric.tolist() == pytest.approx([one, 0])


def test_outcomes_of_probability_zero_add_nothing_to_the_entropy() -> None:
    assert entropy(np.array([0.5, 0.5, 0.0])) == pytest.approx(math.log(2))
