"""Where the rules of a convention forbid an entity to begin, against the rules written out."""

from __future__ import annotations

import numpy as np
import pytest

from twofold.conventions import HASHTAGS, MENTIONS, Convention
from twofold.inference.rules import FORBIDDEN, apply_rules, forbidden_starts, rules_that_matter
from twofold.preprocessing.segmentation import segment

TEXT = "RT @Ada: lunch @ Noma with u/Bob, #Rome # 1 r/Oslo @"
LABELS = ("O", "B-LOC", "I-LOC")


@pytest.mark.parametrize("mentions", MENTIONS)
@pytest.mark.parametrize("hashtags", HASHTAGS)
def test_marks_and_names_begin_entities_only_where_the_rules_allow(mentions: str, hashtags: str) -> None:
    words = segment(TEXT)
    named = [TEXT[a:b] for a, b in words]
    forbidden = [named[i] for i in forbidden_starts(TEXT, words, Convention(mentions, hashtags))]
    wanted = []
    for mark, name in (("@", "Ada"), ("u/", "Bob"), ("#", "Rome"), ("#", "1"), ("r/", "Oslo")):
        rule = mentions if mark in ("@", "u/") else hashtags
        wanted += {"none": [mark, name], "name": [mark], "mark": [name]}[rule]
    assert sorted(forbidden) == sorted(wanted)  # "@ Noma" is a place, and the last "@" marks nothing


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("lunch @ Noma, 3 a.m.", set()),
        ("hi @Ada", {"mentions"}),
        ("in # Rome", {"hashtags"}),
        (TEXT, {"mentions", "hashtags"}),
    ],
)
def test_which_rules_matter_for_a_text(text: str, rules: set[str]) -> None:
    assert rules_that_matter(text, segment(text)) == rules


def test_only_begin_tags_are_forbidden_and_nothing_else_changes() -> None:
    text = "in #Rome"
    emissions = np.arange(9, dtype=np.float32).reshape(3, 3)
    constrained = apply_rules(emissions, text, segment(text), LABELS, Convention("none", "none"))
    assert constrained.tolist() == [[0, 1, 2], [3, FORBIDDEN, 5], [6, FORBIDDEN, 8]]
    assert emissions[1, 1] == 4
    plain = apply_rules(emissions, "in Rome .", segment("in Rome ."), LABELS, Convention("none", "none"))
    assert np.array_equal(plain, emissions)
