"""The same text in two corpora."""

from __future__ import annotations

import pytest

from twofold.corpora.overlap import normalised, text_digest


@pytest.mark.parametrize(
    "copy",
    [
        "J Cole, why must you be so GENIUS?",
        "RT @TheClassicJams : J Cole why must you be so genius http://t.co/X0DXiWtosL",
        "rt @ TheClassicJams: J. Cole why must you be so genius 😭 URL7",
        "@USER12 j cole why must you be so genius pic.twitter.com/abc",
        "J Cole #why must\nyou be so genius http : //t.co/abc",
    ],
)
def test_copies_of_a_text_are_recognised(copy):
    assert text_digest(copy) == text_digest("J . Cole why must you be so genius")


def test_other_words_make_another_text():
    assert text_digest("J Cole is a genius") != text_digest("J Cole was a genius")
    assert normalised("Ça va, Zoë 2?") == "çavazoë2"


@pytest.mark.parametrize("text", ["", "http://t.co/a", "@ada @USER1 : 😭", "…"])
def test_a_text_without_letters_or_digits_has_no_digest(text):
    assert text_digest(text) is None
