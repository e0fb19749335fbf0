"""Annotation conventions: features, choice, and the way through config.json."""

from __future__ import annotations

import pytest

from twofold.conventions import Convention, Conventions, candidates
from twofold.errors import ConfigError

KNOWN = Conventions(
    {"one": Convention("none", "mark", "one"), "two": Convention("name", "name", "two")},
    Convention("name", "none"),
)


def test_a_feature_is_one_where_its_rule_or_corpus_holds() -> None:
    assert KNOWN.size == 5
    assert KNOWN.vector(KNOWN.named["one"]).tolist() == [0, 0, 1, 1, 0]
    assert KNOWN.vector(KNOWN.named["two"]).tolist() == [1, 1, 0, 0, 1]
    assert KNOWN.vector(KNOWN.default).tolist() == [1, 0, 0, 0, 0]
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
    found = candidates(KNOWN)
    assert len({KNOWN.vector(c).tobytes() for c in found}) == len(found) == 8
