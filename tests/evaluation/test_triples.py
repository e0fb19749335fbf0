"""Triples against cases worked out by hand and against a count pair by pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twofold.evaluation.spans import SpanScore
from twofold.evaluation.triples import Triple, TripleCounter

ANNA, NASA, PARIS = (0, 4, "PER"), (5, 9, "ORG"), (10, 15, "LOC")
WORKS = Triple(ANNA, "member_of", NASA)


def scores(*posts, symmetric=()):
    counter = TripleCounter(symmetric)
    for gold, predicted in posts:
        counter.add(gold, predicted)
    return counter.scores()


def test_a_right_triple_counts_in_all_four_ways():
    assert set(scores(([WORKS], [WORKS]))) == {SpanScore(1, 1, 1)}


def test_types_count_only_in_strict_scores():
    found = scores(([WORKS], [Triple(ANNA, "member_of", (5, 9, "MISC"))]))
    assert found.strict == found.strict_annotated == SpanScore(0, 1, 1)
    assert found.boundaries == found.boundaries_annotated == SpanScore(1, 1, 1)


def test_the_direction_of_the_gold_counts():
    # The pair counts as annotated in both directions, so the wrong direction is an error in all four scores.
    found = scores(([WORKS], [Triple(NASA, "member_of", ANNA)]))
    assert set(found) == {SpanScore(0, 1, 1)}


def test_symmetric_relations_are_right_in_either_direction():
    other = Triple(NASA, "member_of", ANNA)
    found = scores(([WORKS], [other]), ([other], [WORKS]), symmetric={"member_of"})
    assert set(found) == {SpanScore(2, 2, 2)}
    twice = scores(([WORKS, other], [other, WORKS]), symmetric={"member_of"})
    assert set(twice) == {SpanScore(1, 1, 1)}  # in both directions it is still one
    assert set(scores(([WORKS], [other]), symmetric={"peer"})) == {SpanScore(0, 1, 1)}


def test_pairs_that_are_not_annotated():
    found = scores(([WORKS], [WORKS, Triple(ANNA, "lives_in", PARIS)]))
    assert found.strict == found.boundaries == SpanScore(1, 2, 1)
    assert found.strict_annotated == found.boundaries_annotated == SpanScore(1, 1, 1)


def test_a_wrong_boundary_is_left_out_of_the_annotated_count_and_missed_in_both():
    found = scores(([WORKS], [Triple((0, 3, "PER"), "member_of", NASA)]))
    assert found.strict == SpanScore(0, 1, 1)
    assert found.strict_annotated == SpanScore(0, 0, 1)


def test_pairs_annotated_as_unrelated():
    none = Triple((0, 4, ""), "None", (5, 9, ""))
    assert set(scores(([none], []))) == {SpanScore(0, 0, 0)}
    assert set(scores(([none], [WORKS]))) == {SpanScore(0, 1, 0)}


def test_duplicates_count_once_and_posts_add_up():
    assert scores(([WORKS, WORKS], [WORKS, WORKS])).strict == SpanScore(1, 1, 1)
    assert scores(([WORKS], [WORKS]), ([WORKS], []), ([], [WORKS])).strict == SpanScore(1, 2, 2)


def test_gold_triples_with_both_arguments_found():
    counter = TripleCounter()
    lives = Triple(ANNA, "lives_in", PARIS)
    none = Triple(NASA, "None", PARIS)
    counter.add([WORKS, WORKS, lives, none], [], [(0, 4, "MISC"), NASA])
    assert counter.both_arguments_found == 1
    counter.add([lives], [lives], [ANNA, PARIS])
    assert counter.both_arguments_found == 2


SPANS = st.tuples(st.integers(0, 1), st.integers(2, 3), st.sampled_from(["PER", "ORG"]))
TRIPLES = st.lists(st.builds(Triple, SPANS, st.sampled_from(["None", "a", "b"]), SPANS), max_size=8)


@given(TRIPLES, TRIPLES)
def test_against_a_count_pair_by_pair(gold, predicted):
    predicted = [triple for triple in predicted if triple.relation != "None"]
    found = scores((gold, predicted))

    def same(one, other, typed):
        arguments = (one.head, other.head), (one.tail, other.tail)
        return one.relation == other.relation and all(
            a[:2] == b[:2] and (not typed or a[2] == b[2]) for a, b in arguments
        )

    def same_pair(one, other):
        straight = one.head[:2] == other.head[:2] and one.tail[:2] == other.tail[:2]
        return straight or (one.head[:2] == other.tail[:2] and one.tail[:2] == other.head[:2])

    def distinct(row, typed):
        kept = []
        for triple in row:
            if not any(same(triple, other, typed) for other in kept):
                kept.append(triple)
        return kept

    wanted = [triple for triple in gold if triple.relation != "None"]
    known = [triple for triple in predicted if any(same_pair(triple, other) for other in gold)]
    for score, typed, row in (
        (found.strict, True, predicted),
        (found.boundaries, False, predicted),
        (found.strict_annotated, True, known),
        (found.boundaries_annotated, False, known),
    ):
        mine, theirs = distinct(row, typed), distinct(wanted, typed)
        right = sum(any(same(triple, other, typed) for other in theirs) for triple in mine)
        assert score == SpanScore(right, len(mine), len(theirs))
