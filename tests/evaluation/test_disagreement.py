"""Disagreement of an ensemble against sums over all outcomes and members."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twofold.evaluation.disagreement import doubt, doubt_of_events, entropy


def distributions(members: int, places: int, outcomes: int) -> np.ndarray:
    drawn = np.random.default_rng(0).gamma(0.5, size=(members, places, outcomes))
    return drawn / drawn.sum(-1, keepdims=True)


def test_parts_are_those_of_the_joint_distribution_of_outcome_and_member() -> None:
    chances = distributions(4, 3, 5)
    found = doubt(chances)
    for place in range(3):
        joint = chances[:, place] / 4  # member drawn evenly, then the outcome
        outcome = joint.sum(0)
        mutual = sum(
            joint[m, k] * math.log(joint[m, k] / (outcome[k] / 4)) for m in range(4) for k in range(5)
        )
        assert found.mutual[place] == pytest.approx(mutual)
        assert found.total[place] == pytest.approx(-sum(p * math.log(p) for p in outcome))
        given = -sum(p * math.log(p * 4) for p in joint.ravel())
        assert found.expected[place] == pytest.approx(given)
    np.testing.assert_allclose(found.total, found.expected + found.mutual)


def test_members_that_agree_do_not_disagree() -> None:
    same = np.repeat(distributions(1, 6, 4), 5, axis=0)
    np.testing.assert_allclose(doubt(same).mutual, 0, atol=1e-12)
    sure = np.eye(3)[:, None]  # each member sure of another outcome
    assert doubt(sure).mutual == pytest.approx(math.log(3))
    assert doubt(sure).expected == pytest.approx(0)


def test_an_event_is_a_distribution_over_two() -> None:
    chances = np.array([[0.9, 0.0], [0.1, 0.0]])
    found = doubt_of_events(chances)
    assert found.total.tolist() == pytest.approx([math.log(2), 0])
    one = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert found.expected.tolist() == pytest.approx([one, 0])


def test_what_has_no_chance_adds_nothing() -> None:
    assert entropy(np.array([0.5, 0.5, 0.0])) == pytest.approx(math.log(2))
