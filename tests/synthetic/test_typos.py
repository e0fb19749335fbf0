"""Posts with typos: what changes, what must not, and where the gold spans move."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.posts import Entity, Post
from twofold.preprocessing.segmentation import segment_post
from twofold.synthetic.typos import MIN_LENGTH, with_typos

TEXT = "Anna Karenina left #Manchester for 2017 at https://example.org/letters with NASA"


def post(text=TEXT, *names, tokens=None):
    spans = [(text.index(name), text.index(name) + len(name)) for name in names]
    return Post(1, text, tokens=tokens, entities=tuple(Entity(a, b, text[a:b], "PER") for a, b in spans))


def words(p):
    return [p.text[a:b] for a, b in segment_post(p)]


def test_rate_zero_changes_nothing_and_rate_one_every_word_that_can_have_a_typo():
    assert with_typos(post(), 0.0) == post()
    pairs = list(zip(words(post()), words(with_typos(post(), 1.0)), strict=True))
    changed = {old for old, new in pairs if old != new}
    assert changed == {"Anna", "Karenina", "left", "Manchester", "with", "NASA"}
    for old, new in pairs:
        assert old[0] == new[0]
        assert abs(len(old) - len(new)) <= 1


def edits(old, new):
    """Edits between two words: restricted Damerau–Levenshtein distance, by its recursion."""
    if not old or not new:
        return len(old) + len(new)
    found = [edits(old[1:], new) + 1, edits(old, new[1:]) + 1, edits(old[1:], new[1:]) + (old[0] != new[0])]
    if len(old) > 1 and old[:2] == new[1::-1]:
        found.append(edits(old[2:], new[2:]) + 1)
    return min(found)


def test_each_typo_is_one_edit():
    text = "Anna left #Teeth with keys"
    kinds = set()
    for seed in range(40):
        for old, new in zip(words(post(text)), words(with_typos(post(text), 1.0, seed)), strict=True):
            assert edits(old, new) == (len(old) >= MIN_LENGTH)
            kinds.add((len(new) - len(old), sorted(new) == sorted(old)))
    assert kinds >= {(0, True), (-1, False), (1, False), (0, False)}  # transpose, delete, repeat, replace


def test_gold_spans_move_with_their_words():
    whole = post(TEXT, "Anna Karenina", "Manchester", "NASA")
    for seed in range(30):
        new = with_typos(whole, 1.0, seed)
        assert [new.text[e.start : e.end] for e in new.entities] == [e.text for e in new.entities]
        first, second, third = new.entities
        assert (first.start, new.text[first.end], new.text[second.start - 1]) == (0, " ", "#")
        assert third.end == len(new.text)
        assert first.text.count(" ") == 1


def test_tokens_move_with_their_words():
    text = "Anna left Manchester"
    new = with_typos(post(text, tokens=((0, 4), (5, 9), (10, 20))), 1.0)
    assert [new.text[a:b] for a, b in new.tokens] == new.text.split(" ")


def test_equal_seeds_give_equal_typos_and_others_do_not():
    assert with_typos(post(), 0.5, 3) == with_typos(post(), 0.5, 3)
    assert len({with_typos(post(), 0.5, seed).text for seed in range(10)}) > 5


def test_the_rate_is_the_share_of_changed_words():
    text = " ".join(["letters"] * 4000)
    changed = sum(word != "letters" for word in words(with_typos(post(text), 0.2)))
    assert changed == pytest.approx(800, abs=100)  # four standard deviations


@settings(deadline=None, max_examples=150)
@given(st.text("abCZ éß#@.1 漢\n", max_size=40), st.integers(0, 5), st.data())
def test_any_text_any_span(text, seed, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    old = Post(1, text, entities=(Entity(start, end, text[start:end], "PER"),))
    new = with_typos(old, 1.0, seed)
    (gold,) = new.entities
    assert 0 <= gold.start <= gold.end <= len(new.text)
    assert gold.text == new.text[gold.start : gold.end]
    for a, b in zip(words(old), words(new), strict=True):
        assert a[0] == b[0]
