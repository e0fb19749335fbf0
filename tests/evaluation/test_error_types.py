"""Error types, case by case."""

from __future__ import annotations

import pytest

from twofold.evaluation.error_types import relation_error_type, span_error_type
from twofold.evaluation.triples import Triple, with_reversed

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
def test_each_error_type(found, kind):
    assert span_error_type(found, GOLD) == kind


def test_right_goes_before_wrong_type():
    assert span_error_type((0, 5, "PER"), {(0, 5, "LOC"), (0, 5, "PER")}) == "right"


def test_nothing_in_the_gold():
    assert span_error_type((0, 5, "PER"), set()) == "spurious"


A, B, C = (0, 4, "PER"), (8, 12, "ORG"), (20, 25, "LOC")
ANNOTATED = [Triple(A, "member", B), Triple(B, "None", C)]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (Triple(A, "member", B), "right"),
        (Triple((0, 4, "LOC"), "member", B), "right"),  # types of arguments are ignored
        (Triple(A, "owner", B), "wrong_relation"),
        (Triple(B, "member", A), "wrong_direction"),
        (Triple(B, "owner", A), "wrong_direction"),
        (Triple(B, "seat", C), "spurious"),
        (Triple(C, "seat", B), "spurious"),
        (Triple((2, 6, "PER"), "member", B), "wrong_arguments"),
        (Triple(B, "member", (2, 6, "PER")), "wrong_arguments"),
        (Triple((2, 4, "PER"), "member", (0, 2, "PER")), None),  # both overlap the same argument
        (Triple(A, "lives", C), None),  # this pair is not annotated
    ],
)
def test_relations_by_hand(found: Triple, kind: str | None) -> None:
    assert relation_error_type(found, ANNOTATED, complete=False) == kind
    assert relation_error_type(found, ANNOTATED, complete=True) == (kind or "spurious")


def test_a_symmetric_relation_is_right_in_either_direction() -> None:
    gold = with_reversed(ANNOTATED, {"member"})
    assert relation_error_type(Triple(B, "member", A), gold, complete=False) == "right"
    assert relation_error_type(Triple(B, "owner", A), gold, complete=False) == "wrong_relation"
    assert with_reversed(ANNOTATED, {"None"}) == [*ANNOTATED, Triple(C, "None", B)]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (Triple((4, 8, "PER"), "member", B), None),  # touches A, shares nothing with it
        (Triple((3, 8, "PER"), "member", (11, 13, "ORG")), "wrong_arguments"),  # one letter of each
        (Triple((11, 13, "ORG"), "member", (3, 8, "PER")), "wrong_arguments"),  # swapped
        (Triple(A, "member", (12, 13, "ORG")), None),
        (Triple(A, "member", (7, 8, "ORG")), None),
    ],
)
def test_arguments_that_overlap_share_a_letter(found: Triple, kind: str | None) -> None:
    assert relation_error_type(found, ANNOTATED, complete=False) == kind
