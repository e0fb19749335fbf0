from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from review.queue_of_posts import TEXT, result

from twofold.errors import InputError
from twofold.review.decisions import Decision, PostReview, Proposal, spans
from twofold.review.results import parse_proposal

RELATED = [{"head": 0, "tail": 2, "type": "/per/loc/place_of_residence", "confidence": 0.4}]


@pytest.fixture
def proposal() -> Proposal:
    return parse_proposal(result(1, 0.9, 0.5, 0.8, relations=RELATED))


def final(proposal: Proposal, *decisions: Decision) -> list[tuple[str, str]]:
    return [(e.text, e.type) for e in PostReview.of(proposal, decisions).final_entities]


def test_before_any_decision_nothing_is_final(proposal: Proposal) -> None:
    review = PostReview.of(proposal)
    assert review.final_entities == ()
    assert [(d.about, d.item) for d in review.undecided] == [
        ("entity", 0), ("entity", 1), ("entity", 2), ("relation", 0)
    ]  # fmt: skip


def test_accepted_corrected_rejected_and_added(proposal: Proposal) -> None:
    decisions = (
        Decision("entity", 0, "correct", start=0, end=3),
        Decision("entity", 1, "correct", type="PER"),
        Decision("entity", 2, "reject"),
        Decision("add", start=4, end=8, type="MISC"),
    )
    assert final(proposal, *decisions) == [("Ada", "PER"), ("Berg", "MISC"), ("Bob", "PER")]


def test_the_last_decision_counts_and_accepting_restores_the_prediction(proposal: Proposal) -> None:
    changed = Decision("entity", 1, "correct", start=9, end=16, type="PER")
    assert final(proposal, changed, Decision("entity", 1, "accept")) == [("Bob", "ORG")]
    assert final(proposal, changed, Decision("entity", 1, "reject")) == []
    again = Decision("entity", 1, "correct", type="LOC")  # keeps the corrected span
    assert final(proposal, changed, again) == [("met Bob", "LOC")]


def test_a_decision_rejects_the_entities_that_it_overlaps(proposal: Proposal) -> None:
    review = PostReview.of(proposal)
    assert review.overlapped_by(Decision("add", start=10, end=22, type="MISC")) == [
        Decision("entity", 1, "reject"),
        Decision("entity", 2, "reject"),
    ]
    assert review.overlapped_by(Decision("entity", 0, "accept")) == []
    assert review.overlapped_by(Decision("entity", 0, "correct", end=14)) == [Decision("entity", 1, "reject")]


def test_a_relation_needs_both_of_its_entities(proposal: Proposal) -> None:
    both = [Decision("entity", 0, "accept"), Decision("entity", 2, "accept")]
    accepted = PostReview.of(proposal, [*both, Decision("relation", 0, "accept")])
    assert [(r.head.text, r.type, r.tail.text) for r in accepted.final_relations] == [
        ("Ada Berg", "/per/loc/place_of_residence", "Turin")
    ]
    rejected = PostReview.of(proposal, [*both, Decision("relation", 0, "reject")])
    assert [r.type for r in rejected.final_relations] == ["None"]
    no_tail = PostReview.of(proposal, [Decision("entity", 2, "reject"), Decision("relation", 0, "accept")])
    assert no_tail.final_relations == ()
    assert [d.about for d in no_tail.undecided] == ["entity", "entity"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not an object"),
        ({}, "about"),
        ({"about": "entity", "item": 0}, "answer"),
        ({"about": "entity", "item": 0, "answer": "perhaps"}, "answer"),
        ({"about": "add", "start": 0.5, "end": 3, "type": "PER"}, "start"),
        ({"about": "add", "start": True, "end": 3, "type": "PER"}, "start"),
        ({"about": "finish", "answer": "accept"}, "answer"),
        ({"about": "finish", "now": 1}, "'now'"),
        ({"about": "add", "start": 0, "end": 3, "type": ["PER"]}, "type"),
    ],
)
def test_invalid_decisions_are_refused(value: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Decision.parse(value)


@pytest.mark.parametrize(
    "decision",
    [
        Decision("entity", 3, "accept"),
        Decision("entity", None, "accept"),
        Decision("entity", -1, "accept"),
        Decision("relation", 1, "reject"),
        Decision("relation", 0, "correct"),
        Decision("add", start=3, end=4, type="PER"),  # a space
        Decision("add", start=5, end=5, type="PER"),
        Decision("add", start=0, end=len(TEXT) + 1, type="PER"),
        Decision("add", start=0, end=3),
    ],
)
def test_a_decision_that_does_not_fit_the_post_is_refused(proposal: Proposal, decision: Decision) -> None:
    with pytest.raises(InputError, match="expected"):
        PostReview.of(proposal, [decision])


@given(st.lists(st.tuples(st.integers(0, 24), st.integers(1, 25), st.sampled_from("ABC")), max_size=8))
def test_final_entities_never_overlap(added: list[tuple[int, int, str]]) -> None:
    review = PostReview.of(parse_proposal(result(1, 0.9, 0.5, 0.8)))
    for start, end, type_ in added:
        if start < end and TEXT[start:end].strip():
            decision = Decision("add", start=start, end=end, type=type_)
            for one in (*review.overlapped_by(decision), decision):
                review = review.with_decision(one)
    for one in review.undecided:
        review = review.with_decision(one)
    taken = [place for start, end, _ in spans(review) for place in range(start, end)]
    assert len(taken) == len(set(taken))


def test_json_and_back() -> None:
    decision = Decision("entity", 2, "correct", start=1, end=3, type="LOC")
    assert Decision.parse(decision.record()) == decision
