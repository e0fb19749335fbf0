"""The published JSON Schema and the reader agree on what a post is."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from twofold.corpora import parse_post
from twofold.corpora.convert import to_record
from twofold.errors import InputError

SCHEMA = json.loads(
    resources.files("twofold").joinpath("schemas/post.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
DOG = {"box": [0, 0.25, 1, 0.5], "label": "dog", "score": 0.9, "kind": "object"}
ADA = {"start": 0, "end": 3, "text": "Ada", "type": "PER"}

GOOD = [
    {"id": 1, "text": ""},
    {"id": "a", "tokens": ["Ada", "!"]},
    {
        "id": 1,
        "text": "Ada",
        "tokens": None,
        "image": None,
        "alt_text": None,
        "entities": None,
        "relations": None,
    },
    {"id": 1, "text": "Ada", "image": "a.jpg", "alt_text": "x", "entities": [ADA], "more": {}},
    {"id": 1, "text": "Ada", "image": {"base64": "AAAA"}},
    {"id": 1, "text": "Ada", "image": "data:image/png;base64,AAAA"},
    {"id": 1, "text": "Ada", "relations": [{"head": {"start": 0, "end": 1}, "tail": ADA, "type": "r"}]},
    {"id": 1, "text": "Ada", "entities": [{**ADA, "well_formed": False}]},
    {"id": 1, "text": "Ada", "regions": None},
    {"id": 1, "text": "Ada", "regions": []},
    {"id": 1, "text": "Ada", "regions": [DOG, {**DOG, "kind": "text"}, {"box": [0, 0, 0.1, 0.1]}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "label": None, "score": None}]},
]
BAD = [
    {"text": "a"},
    {"id": None, "text": "a"},
    {"id": True, "text": "a"},
    {"id": 1.5, "text": "a"},
    {"id": 1},
    {"id": 1, "text": None},
    {"id": 1, "text": None, "tokens": None},
    {"id": 1, "text": 3},
    {"id": 1, "tokens": [""]},
    {"id": 1, "text": "a", "image": 3},
    {"id": 1, "text": "a", "image": {}},
    {"id": 1, "text": "a", "image": "http://a.b/c.jpg"},
    {"id": 1, "text": "a", "alt_text": 3},
    {"id": 1, "text": "Ada", "entities": [{"start": 0, "end": 3}]},
    {"id": 1, "text": "Ada", "entities": [{**ADA, "type": ""}]},
    {"id": 1, "text": "Ada", "entities": [{**ADA, "start": -1}]},
    {"id": 1, "text": "Ada", "entities": [{**ADA, "well_formed": "no"}]},
    {"id": 1, "text": "Ada", "relations": [{"head": ADA, "type": "r"}]},
    {"id": 1, "text": "Ada", "relations": [{"head": ADA, "tail": ADA}]},
    {"id": 1, "text": "Ada", "regions": {}},
    {"id": 1, "text": "Ada", "regions": [{"label": "dog"}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "box": [0, 0, 1]}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "box": [0, 0, 1, 200]}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "box": [0, 0, 1, True]}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "label": 3}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "score": 1.5}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "score": "high"}]},
    {"id": 1, "text": "Ada", "regions": [{**DOG, "kind": "dog"}]},
]


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("record", GOOD)
def test_records_that_both_accept(record, tmp_path):
    VALIDATOR.validate(record)
    VALIDATOR.validate(to_record(parse_post(record), tmp_path))


@pytest.mark.parametrize("record", BAD)
def test_records_that_both_refuse(record):
    assert not VALIDATOR.is_valid(record)
    with pytest.raises(InputError):
        parse_post(record)
