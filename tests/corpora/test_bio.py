from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from twofold.corpora.bio import TagSpan, entities_of, is_tag, join, spans_of, tags_as_written, tags_of

TAGS = st.lists(
    st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-creative-work", "I-creative-work"])
)


@given(TAGS)
def test_lenient_spans_are_those_of_seqeval(tags):
    expected = [(start, last + 1, type_) for type_, start, last in get_entities(tags)]
    assert [span[:3] for span in spans_of(tags)] == expected


@given(TAGS.filter(bool))
def test_well_formed_spans_are_those_of_seqeval_in_strict_mode(tags):
    expected = [(e.start, e.end, e.tag) for e in Entities([tags], IOB2).entities[0]]
    assert [span[:3] for span in spans_of(tags) if span.well_formed] == expected


@given(TAGS)
def test_tags_as_written_are_the_original_tags(tags):
    assert tags_as_written(len(tags), spans_of(tags)) == tags


@given(TAGS)
def test_tags_are_valid_and_encode_the_same_spans(tags):
    spans = spans_of(tags)
    again = spans_of(tags_of(len(tags), spans))
    assert [span[:3] for span in again] == [span[:3] for span in spans]
    assert all(span.well_formed for span in again)


def test_a_run_that_begins_inside_is_marked():
    assert spans_of(["O", "I-LOC", "I-LOC", "I-PER", "B-PER"]) == [
        TagSpan(1, 3, "LOC", False),
        TagSpan(3, 4, "PER", False),
        TagSpan(4, 5, "PER", True),
    ]


def test_bioes_and_bilou_are_read_as_bio():
    assert spans_of(["S-PER", "B-LOC", "I-LOC", "E-LOC", "U-ORG", "B-PER", "L-PER"]) == [
        TagSpan(0, 1, "PER"),
        TagSpan(1, 4, "LOC"),
        TagSpan(4, 5, "ORG"),
        TagSpan(5, 7, "PER"),
    ]


def test_tags_as_written_does_not_join_two_spans():
    spans = [TagSpan(0, 1, "PER"), TagSpan(1, 2, "PER", False)]
    assert tags_as_written(2, spans) == ["B-PER", "B-PER"]
    assert tags_as_written(2, [TagSpan(0, 2, "PER", False)]) == ["I-PER", "I-PER"]


@pytest.mark.parametrize("tag", ["O", "B-PER", "I-creative-work", "S-X", "L-X"])
def test_what_is_a_tag(tag):
    assert is_tag(tag)


@pytest.mark.parametrize("tag", ["", "PER", "B-", "b-PER", "NNP", "O ", "X-PER"])
def test_what_is_not_a_tag(tag):
    assert not is_tag(tag)


@given(st.lists(st.text(min_size=1)))
def test_join_returns_the_span_of_each_token(tokens):
    text, token_spans = join(tokens)
    assert [text[start:end] for start, end in token_spans] == tokens


def test_entities_carry_the_text():
    text, token_spans = join(["New", "York", "!"])
    (entity,) = entities_of(text, token_spans, [TagSpan(0, 2, "LOC", False)])
    assert (entity.start, entity.end, entity.text, entity.type) == (0, 8, "New York", "LOC")
    assert not entity.well_formed
