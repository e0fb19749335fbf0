"""Annotation conventions: features, choice, and reading them from config.json."""

from __future__ import annotations

import json

import pytest

from twofold.conventions import Convention, Conventions, candidates
from twofold.errors import ConfigError, ModelError
from twofold.model_folder.config import parse_config
from twofold.pipeline.extractor import default_folder

KNOWN = Conventions(
    {"one": Convention("none", "mark", "one"), "two": Convention("name", "name", "two")},
    Convention("name", "none"),
)


def test_a_feature_is_one_where_its_rule_or_corpus_holds() -> None:
    assert KNOWN.size == 5
    assert KNOWN.vector(KNOWN.named["one"]) == (0, 0, 1, 1, 0)
    assert KNOWN.vector(KNOWN.named["two"]) == (1, 1, 0, 0, 1)
    assert KNOWN.vector(KNOWN.default) == (1, 0, 0, 0, 0)
    assert Conventions().size == len(Conventions().vector(Convention())) == 0


def test_choosing() -> None:
    assert KNOWN.choose() == KNOWN.default
    assert KNOWN.choose("one", mentions="none") == KNOWN.named["one"]
    assert KNOWN.choose("one", mentions="name") == Convention("name", "mark", "")
    assert KNOWN.choose(hashtags="mark") == Convention("name", "mark")
    with pytest.raises(ConfigError, match="one, two"):
        KNOWN.choose("three")
    with pytest.raises(ConfigError, match="trained without conventions"):
        Conventions().choose(mentions="none")
    with pytest.raises(ConfigError, match="none, name, mark"):
        KNOWN.choose(hashtags="maybe")


def test_candidates_are_distinct() -> None:
    found = candidates(KNOWN, KNOWN.default, {"mentions", "hashtags"})
    assert found[:3] == [KNOWN.default, *KNOWN.named.values()]
    assert len({KNOWN.vector(c) for c in found}) == len(found) == 8


def test_a_rule_that_does_not_matter_for_the_posts_stays_as_it_is() -> None:
    own = KNOWN.named["one"]
    assert candidates(KNOWN, own, set()) == [own, Convention("none", "mark")]
    assert candidates(KNOWN, own, {"mentions"}) == [
        own,
        Convention("none", "mark"),
        Convention("name", "mark"),
    ]
    assert {c.hashtags for c in candidates(KNOWN, own, {"hashtags"})} == {"none", "name", "mark"}
    assert {c.mentions for c in candidates(KNOWN, own, {"hashtags"})} == {"none"}


ROW = {"mentions": "name", "hashtags": "name"}


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("conventions",), []),
        (("conventions", "named"), {}),
        (("conventions", "named", "mentions=name"), ROW),
        (("conventions", "named", ""), ROW),
        (("conventions", "default", "corpus"), "unknown"),
        (("text", "window_pieces"), 10**400),
        (("picture", "mean"), ["a", 1, 2]),
        (("picture", "std"), [10**400, 1, 1]),
        (("name",), ""),
        (("name",), "a\x1b[31m"),
        (("name",), "a" * 300),
        (("labels",), ["O"] * 9),
        (("labels",), ["B-PER", "I-PER"]),
        (("labels",), ["O", "B-PER", "I-PER", "X-LOC"]),
        (("labels",), ["O", "B-PER", "I-PER", "B-PER", "I-PER"]),
        (("labels",), ["O", "B-PER\n", "I-PER\n"]),
        (("labels",), ["O", "B-", "I-"]),
        (("labels",), ["I-PER", "B-PER", "O"]),
    ],
)
def test_the_error_of_an_invalid_config_names_the_key(keys, value):
    raw = json.loads((default_folder() / "config.json").read_text(encoding="utf-8"))
    raw["conventions"] = {"named": {"a": ROW}, "default": {**ROW, "corpus": "a"}}
    assert parse_config(raw, "config.json").conventions.default.corpus == "a"
    inner = raw
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    with pytest.raises(ModelError, match=keys[1] if keys[0] in ("text", "picture") else keys[0]):
        parse_config(raw, "config.json")
