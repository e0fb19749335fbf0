"""Plausible names and links in place of masks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.corpora import open_corpus
from twofold.corpora.bio import join
from twofold.posts import Entity, Post
from twofold.synthetic.unmasking import unmasked

LINK = re.compile(r"https?://t\.co/\w{10}")
NAME = re.compile(r"@\w{1,15}")


def post(*tokens: str, entity: int | None = None) -> Post:
    text, token_spans = join(tokens)
    spans = [] if entity is None else [(*token_spans[entity], tokens[entity], "PER")]
    return Post(1, text, tokens=token_spans, entities=tuple(Entity(*span) for span in spans))


def tokens(of: Post) -> list[str]:
    return [of.text[start:end] for start, end in of.tokens]


@pytest.mark.parametrize(("user", "link"), [("@USER12", "URL7"), ("@user", "http"), ("@USER", "HTTPURL")])
def test_masks_become_names_and_links_and_gold_spans_move(user, link):
    old = post("RT", user, ":", "Ada", "is", "here", link, entity=3)
    new = unmasked(old)
    name, url = tokens(new)[1], tokens(new)[6]
    assert NAME.fullmatch(name)
    assert LINK.fullmatch(url)
    assert tokens(new) == ["RT", name, ":", "Ada", "is", "here", url]
    (entity,) = new.entities
    assert new.text[entity.start : entity.end] == entity.text == "Ada"


def test_a_numbered_mask_is_the_same_user_everywhere_and_another_seed_another_one():
    one, other = unmasked(post("@USER12", "@USER13")), unmasked(post("Hi", "@USER12"))
    assert tokens(one)[0] == tokens(other)[1] != tokens(one)[1]
    assert tokens(unmasked(post("@USER12"), seed=1)) != tokens(one)[:1]


def test_masks_without_a_number_are_different_users():
    users = tokens(unmasked(post(*["@user"] * 20)))
    assert len(set(users)) > 15


@pytest.mark.parametrize(
    "text", ["@users @Userland", "URL", "CURL7 URL7a", "http://t.co/a http:", "a user", "x@user"]
)
def test_other_words_are_kept(text):
    assert unmasked(Post(1, text)) == Post(1, text)


@given(st.lists(st.sampled_from(["@USER1", "URL2", "@user", "http", "Ada", "😀", "…"]), min_size=1))
def test_only_masks_change(words):
    for old, new in zip(words, tokens(unmasked(post(*words))), strict=True):
        assert (old == new) == (old in ("Ada", "😀", "…"))


def test_no_mask_of_tweebank_is_left(shared):
    posts = [unmasked(post) for post in open_corpus(shared / "data/tweebank/train.bio")]
    assert not any(re.search(r"@USER\d|URL\d", post.text) for post in posts)
    assert all(post.text[e.start : e.end] == e.text for post in posts for e in post.entities)
