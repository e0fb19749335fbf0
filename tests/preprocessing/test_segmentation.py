"""One segmentation, for tokens and for raw text."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from twofold.posts import Post
from twofold.preprocessing.segmentation import (
    CASE_FEATURE_COUNT,
    CONTEXTS,
    WORD_SHAPES,
    case_features,
    segment,
    segment_post,
    surface,
)


def words(text: str) -> list[str]:
    return [text[a:b] for a, b in segment(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm in #Paris", ["I", "'", "m", "in", "#", "Paris"]),
        ("@bob:hi", ["@", "bob", ":", "hi"]),
        ("see http://t.co/aB3… now", ["see", "http://t.co/aB3…", "now"]),
        ("東京タワー", list("東京タワー")),
        ("😂😂wow", ["😂", "😂", "wow"]),
        ("Br\u200bit \u202eabc\u202c", ["Br\u200bit", "abc"]),
        ("a\x00b \x00", ["a\x00b"]),
        ("", []),
        (" \u200b\u00a0\n", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_are_ordered_and_cover_all_letters_and_digits(text: str) -> None:
    spans = segment(text)
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(x[1] <= y[0] for x, y in itertools.pairwise(spans))
    inside = {i for a, b in spans for i in range(a, b)}
    assert all(i in inside for i, c in enumerate(text) if c.isalnum())


@given(st.lists(st.sampled_from(["Paris", "#", "'", "s", ".", "😂", "I", "(", "4"]), max_size=12))
def test_spaces_beside_marks_do_not_matter(tokens: list[str]) -> None:
    spaced = " ".join(tokens)
    tight = spaced
    for mark in ["#", "'", ".", "😂", "("]:
        tight = tight.replace(f" {mark}", mark).replace(f"{mark} ", mark)
    assert words(spaced) == words(tight)
    spans, close = segment(spaced), segment(tight)
    assert case_features(spaced, spans) == case_features(tight, close)


def test_no_word_crosses_a_token() -> None:
    post = Post("1", "ab cd", tokens=((0, 1), (1, 2), (3, 5)))
    assert segment_post(post) == [(0, 1), (1, 2), (3, 5)]


def test_case_features_give_shape_and_context() -> None:
    text = "RT @Bob: #NBA iPhone6 Paris http://x.co 42"
    spans = segment(text)
    numbers = case_features(text, spans)
    names = [(WORD_SHAPES[n // len(CONTEXTS)], CONTEXTS[n % len(CONTEXTS)]) for n in numbers]
    assert names == [
        ("UPPER", "first"), ("@", "plain"), ("Capital", "after @"), ("mark", "plain"), ("#", "after mark"),
        ("UPPER", "after #"), ("digits+mixed", "plain"), ("Capital", "plain"), ("url", "plain"),
        ("digits", "plain"),
    ]  # fmt: skip


@given(st.text())
def test_case_features_are_in_range(text: str) -> None:
    assert all(0 <= n < CASE_FEATURE_COUNT for n in case_features(text, segment(text)))


def test_surfaces_have_no_invisible_characters_and_no_urls() -> None:
    assert surface("Br\u200bit") == "Brit"
    assert surface("https://t.co/x") == "http"
    assert surface("www") == "www"


@pytest.mark.parametrize(
    ("text", "expected", "read_as"),
    [
        ("@Bundesliga_EN", ["@", "Bundesliga_EN"], ["@", "Bundesliga_EN"]),
        ("hi @ada.bsky.social!", ["hi", "@", "ada.bsky.social", "!"], ["hi", "@", "ada", "!"]),
        ("@ada@social.example.org:", ["@", "ada@social.example.org", ":"], ["@", "ada", ":"]),
        ("@example.com.", ["@", "example.com", "."], ["@", "example", "."]),
        ("u/ada and /r/Paris", ["u/", "ada", "and", "/r/", "Paris"], ["@", "ada", "and", "#", "Paris"]),
        (
            "either/or http://a.b/u/ada",
            ["either", "/", "or", "http://a.b/u/ada"],
            ["either", "/", "or", "http"],
        ),
        ("ada@example.com", ["ada", "@", "example", ".", "com"], ["ada", "@", "example", ".", "com"]),
    ],
)
def test_handles_of_any_network_are_a_mark_and_one_word(
    text: str, expected: list[str], read_as: list[str]
) -> None:
    assert words(text) == expected
    assert [surface(word) for word in expected] == read_as


def test_a_handle_is_read_like_a_mention_and_a_place_like_a_hashtag() -> None:
    plain, others = "met @ada in #Paris", "met u/ada in r/Paris"
    assert case_features(plain, segment(plain)) == case_features(others, segment(others))
