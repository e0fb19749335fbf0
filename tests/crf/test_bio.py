"""BIO tags by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.crf.bio import BioTags, TagSpan, allowed_transitions


def test_an_inside_tag_follows_only_its_own_type():
    labels = ("I-A", "O", "B-A", "B-B", "I-B")
    moves, first = allowed_transitions(labels)
    allowed = {(a, b) for i, a in enumerate(labels) for j, b in enumerate(labels) if moves[i, j]}
    inside = {("I-A", "I-A"), ("B-A", "I-A"), ("B-B", "I-B"), ("I-B", "I-B")}
    assert allowed == inside | {(a, b) for a in labels for b in ("O", "B-A", "B-B")}
    assert first.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([], []),
        ([1, 1], []),
        ([2], [(0, 1, "A")]),
        ([2, 0, 0], [(0, 3, "A")]),
        ([2, 2, 0, 1, 3, 3], [(0, 1, "A"), (1, 3, "A"), (4, 5, "B"), (5, 6, "B")]),
        ([1, 2, 0, -1], [(1, 3, "A")]),
        ([3, -1, -1], [(0, 1, "B")]),  # of a type without an inside tag
    ],
)
def test_spans_by_hand(tags, spans):
    found = BioTags(("I-A", "O", "B-A", "B-B")).spans_of(np.array(tags, np.int64))
    assert found == [TagSpan(*span) for span in spans]


def test_types_and_tags():
    tags = BioTags(("I-A", "O", "B-B", "B-A"))
    assert tags.labels == ("I-A", "O", "B-B", "B-A")
    assert tags.types == ("B", "A")
    assert (tags.begin, tags.inside) == ({"B": 2, "A": 3}, {"B": -1, "A": 0})
    assert [tags.types_of_length(n) for n in (1, 2, 3)] == [["B", "A"], ["A"], ["A"]]
    assert tags.tags_of(TagSpan(4, 7, "A")).tolist() == [3, 0, 0]
    assert tags.tags_of(TagSpan(4, 5, "B")).tolist() == [2]
