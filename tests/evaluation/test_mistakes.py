"""Kinds of mistakes, case by case."""

from __future__ import annotations

import pytest

from twofold.evaluation.mistakes import kind_of

GOLD = {(0, 5, "PER"), (10, 20, "ORG")}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ((0, 5, "PER"), "right"),
        ((0, 5, "LOC"), "wrong_type"),
        ((0, 4, "PER"), "wrong_boundary"),
        ((4, 11, "LOC"), "wrong_boundary"),
        ((12, 13, "MISC"), "wrong_boundary"),
        ((5, 10, "PER"), "spurious"),  # between the two, touching both, sharing nothing
        ((30, 31, "PER"), "spurious"),
    ],
)
def test_each_kind(found, kind):
    assert kind_of(found, GOLD) == kind


def test_right_goes_before_wrong_type():
    assert kind_of((0, 5, "PER"), {(0, 5, "LOC"), (0, 5, "PER")}) == "right"


def test_nothing_in_the_gold():
    assert kind_of((0, 5, "PER"), set()) == "spurious"
