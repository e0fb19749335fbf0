"""Lines in the formats of doccano and Prodigy."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import parse_post, read_jsonl
from twofold.corpora.convert import to_record
from twofold.errors import InputError
from twofold.posts import Post, Rejected

TEXT = "Ada in Turin"


def read(**record: Any) -> Post | Rejected:
    (item,) = read_jsonl(io.BytesIO(json.dumps({"text": TEXT} | record).encode()))
    return item


def spans(post: Post) -> list[tuple[str, str]] | None:
    return None if post.entities is None else [(e.text, e.type) for e in post.entities]


@pytest.mark.parametrize("key", ["label", "labels"])
def test_spans_of_doccano(key):
    assert spans(read(id=1, **{key: [[7, 12, "LOC"], [0, 3, "PER"]]})) == [("Ada", "PER"), ("Turin", "LOC")]
    assert spans(read(id=1, **{key: []})) == []


def test_entities_and_relations_of_doccano():
    entities = [
        {"id": 5, "label": "PER", "start_offset": 0, "end_offset": 3},
        {"id": 6, "label": "LOC", "start_offset": 7, "end_offset": 12},
    ]
    post = read(id=1, entities=entities, relations=[{"id": 1, "from_id": 6, "to_id": 5, "type": "home_of"}])
    assert spans(post) == [("Ada", "PER"), ("Turin", "LOC")]
    (relation,) = post.relations
    assert (relation.head.text, relation.tail.text, relation.type) == ("Turin", "Ada", "home_of")


PRODIGY: dict[str, Any] = {
    "_input_hash": -77,
    "_task_hash": 3,
    "tokens": [
        {"text": "Ada", "start": 0, "end": 3, "id": 0, "ws": True},
        {"text": "in", "start": 4, "end": 6, "id": 1, "ws": True},
        {"text": "Turin", "start": 7, "end": 12, "id": 2, "ws": False},
    ],
    "spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}],
    "relations": [
        {
            "head": 0,
            "child": 2,
            "head_span": {"start": 0, "end": 3, "label": "PER"},
            "child_span": {"start": 7, "end": 12, "label": "LOC"},
            "label": "lives_in",
        }
    ],
    "answer": "accept",
}


def test_a_line_of_prodigy():
    post = read(**PRODIGY)
    assert (post.id, spans(post), post.tokens) == (-77, [("Ada", "PER")], ((0, 3), (4, 6), (7, 12)))
    assert [(r.head.text, r.tail.text, r.type) for r in post.relations] == [("Ada", "Turin", "lives_in")]
    assert read(**PRODIGY, id="mine").id == "mine"


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_prodigy_records_that_were_not_accepted_have_no_labels(answer):
    post = read(**PRODIGY | {"answer": answer})
    assert (post.text, post.entities, post.relations) == (TEXT, None, None)


def test_own_entities_take_precedence_over_those_of_a_tool():
    own = [{"start": 0, "end": 3, "type": "PER"}]
    assert spans(read(id=1, entities=own, spans=[], label=[])) == [("Ada", "PER")]


@pytest.mark.parametrize(
    "other", [{"label": "positive"}, {"label": 1}, {"label": ["a"]}, {"spans": [3, 4]}, {"spans": "no"}]
)
def test_keys_of_another_meaning_are_ignored(other):
    assert read(id=1, **other).entities is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"label": [[0, 40, "PER"]]}, "label[0] runs from 0 to 40, but the text has 12 characters"),
        ({"label": [[0, 3]]}, "label[0] is the list [0, 3]; expected [start, end"),
        ({"label": [["0", 3, "PER"]]}, "label[0] start is the text '0'"),
        ({"spans": [{"start": 0, "end": 3}]}, "spans[0] type is missing or empty"),
        ({"entities": [], "relations": [{"from_id": 1, "to_id": 2}]}, "relations[0] from_id is 1"),
        (
            {"spans": [], "relations": [{"head_span": {"start": 0, "end": 3}, "label": "x"}]},
            "relations[0] tail is null",
        ),
    ],
)
def test_invalid_labels_are_rejected(record, reason):
    item = read(id=1, **record)
    assert isinstance(item, Rejected)
    assert item.reason.startswith(reason)


OURS = [
    "id",
    "text",
    "tokens",
    "image",
    "alt_text",
    "regions",
    "entities",
    "relations",
    "start",
    "end",
    "type",
]
PARTS = ["head", "tail", "box", "score", "kind", "base64", "well_formed"]
DOCCANO = ["label", "labels", "start_offset", "end_offset", "from_id", "to_id"]
PRODIGY_KEYS = ["spans", "answer", "_input_hash", "head_span", "child_span"]
KEYS = st.sampled_from([*OURS, *PARTS, *DOCCANO, *PRODIGY_KEYS])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 5) | st.floats() | st.text("aP\ud800\0 ", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_any_object_is_a_post_or_an_input_error(record, entity):
    for item in (record, {"id": 1, "text": "ab"} | record, {"id": 1, "text": "ab", "entities": [entity]}):
        with suppress(InputError):
            to_record(parse_post(item), Path())
