"""Truncated inputs are reported, and complete ones are not."""

from __future__ import annotations

import pytest

from twofold import load
from twofold.inference.truncation import merged
from twofold.posts import Extraction, Truncation
from twofold.records import to_record

BUDGET = 30
"""Word pieces of a window of the tiny tagger, without the special tokens."""


@pytest.fixture(scope="module")
def extractor(both):
    """Windows of 32 pieces for the tagger and 48 for pairs, special tokens included."""
    return load(both, threads=1)


def truncated(extractor, **post: object) -> dict[str, tuple[int, int]]:
    (found,) = extractor.extract([{"id": 1, **post}])
    assert [item.remark for item in found.truncated] == list(found.warnings)
    return {item.what: (item.read, item.total) for item in found.truncated}


def test_a_short_post_is_not_truncated(extractor):
    assert truncated(extractor, text="Anna left paris", alt_text="a red square") == {}


@pytest.mark.parametrize("words", [1, 30, 31, 400])
def test_a_post_longer_than_a_window(extractor, words):
    found = truncated(extractor, text=" ".join(["a"] * words))
    assert found == ({} if words <= BUDGET else {"context": (BUDGET, words)})


def test_an_alternative_text_longer_than_its_window(extractor):
    assert truncated(extractor, text="a", alt_text=" ".join(["a"] * BUDGET)) == {}
    found = truncated(extractor, text="a", alt_text=" ".join(["a"] * (BUDGET + 1)))
    assert found == {"alt_text": (BUDGET, BUDGET + 1)}


def test_more_pairs_than_are_classified(extractor):
    found = truncated(extractor, text=" a ".join(["Anna", "Bob"] * 12))
    assert found["pairs"] == (64, 12 * 12)  # two mentions of the same name are not a pair


def test_pairs_that_do_not_fit_with_their_post(extractor):
    found = truncated(extractor, text="Anna " + "a " * 60 + "Bob")
    assert found["pair_context"] == (0, 1)


def test_of_two_models_the_one_that_read_less_counts():
    found = [Truncation("alt_text", 30, 40), Truncation("pairs", 1, 2), Truncation("alt_text", 20, 40)]
    assert set(merged(found)) == {Truncation("alt_text", 20, 40), Truncation("pairs", 1, 2)}


def test_the_record_has_truncations_only_where_there_are_any(extractor):
    whole, cut = extractor.extract([{"id": 1, "text": "Anna"}, {"id": 2, "text": "a " * 400}])
    assert "truncated" not in to_record(whole)
    assert isinstance(cut, Extraction)
    (item,) = to_record(cut)["truncated"]
    assert (item["what"], item["total"]) == ("context", 400)
