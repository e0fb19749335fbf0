"""Data augmentation of posts: what each change does, and what it leaves unchanged."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from twofold.config import AugmentationConfig
from twofold.posts import Entity, Post
from twofold.preprocessing.segmentation import segment_post, surface
from twofold.training.augmentation import augmented

TEXT = "RT @Bob: Ada O'Hara-Smith loves #Paris sooo much! http://t.co/x1 :-)"
SPANS = [("Ada O'Hara-Smith", "PER"), ("Paris", "LOC")]


def post(tokens: bool = False) -> Post:
    entities = tuple(
        Entity(TEXT.index(name), TEXT.index(name) + len(name), name, kind) for name, kind in SPANS
    )
    spans, end = [], 0
    for word in TEXT.split():
        start = TEXT.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return Post("1", TEXT, entities=entities, tokens=tuple(spans) if tokens else None)


def changed(config: AugmentationConfig, given_post: Post | None = None, epoch: int = 0) -> Post:
    (new,) = augmented([given_post or post()], config, seed=1, epoch=epoch)
    for entity in new.entities or ():
        assert new.text[entity.start : entity.end] == entity.text
    return new


def entities(found: Post) -> list[str]:
    return [entity.text for entity in found.entities or ()]


@pytest.mark.parametrize("tokens", [False, True])
def test_each_change_does_what_it_says(tokens: bool) -> None:
    given_post = post(tokens)
    lower = changed(AugmentationConfig(lower_case=1), given_post)
    assert lower.text == TEXT.lower()
    upper = changed(AugmentationConfig(upper_case=1), given_post)
    assert upper.text == TEXT.upper().replace("HTTP://T.CO/X1", "http://t.co/x1")
    bare = changed(AugmentationConfig(no_punctuation=1), given_post)
    assert entities(bare) == ["Ada OHara Smith", "Paris"]
    assert not set(bare.text) & set(":!-()'") - set("://")
    unlinked = changed(AugmentationConfig(links=1), given_post)
    assert "http" not in unlinked.text
    assert entities(unlinked) == ["Ada O'Hara-Smith", "Paris"]
    linked = changed(AugmentationConfig(links=1), unlinked)
    assert linked.text.startswith(unlinked.text)
    assert [surface(linked.text[a:b]) for a, b in segment_post(linked)][-1] == "http"
    runs = [changed(AugmentationConfig(repetition=1), given_post, epoch) for epoch in range(9)]
    again = next(run for run in runs if run.text != TEXT)  # an entity inside a token is not repeated
    mentions = entities(again)
    repeated = max(entities(given_post), key=mentions.count)
    assert 2 <= mentions.count(repeated) <= 4
    assert len(set(mentions)) == 2
    first, last = again.text.index(repeated), again.text.rindex(repeated) + len(repeated)
    assert set(again.text[first:last].replace(repeated, "")) <= set(" ,and")
    assert again.text[:first] + repeated + again.text[last:] == TEXT
    if tokens:
        assert "".join(again.text[a:b] for a, b in again.tokens or ()) == again.text.replace(" ", "")
    long = changed(AugmentationConfig(elongation=1), given_post)
    assert len(long.text) > len(TEXT)
    assert entities(long) == entities(given_post)


def test_nothing_changes_at_rate_zero_and_changes_differ_by_epoch_alone() -> None:
    assert augmented([post()] * 3, AugmentationConfig(), 1, 0) == [post()] * 3
    config = AugmentationConfig(typos=0.5, lower_case=0.3, elongation=0.5, links=0.5)
    runs = [augmented([post()] * 20, config, 1, epoch) for epoch in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


@given(st.text(max_size=40), st.data())
def test_any_post_survives_every_change(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    gold = (Entity(start, end, text[start:end], "PER"),)
    config = AugmentationConfig(1, 1, 0, 0, 1, 1, 1, 1)
    new = changed(config, Post("1", text, entities=gold))
    assert len(new.entities or ()) <= 4


def test_rates_are_shares_of_the_posts() -> None:
    config = AugmentationConfig(lower_case=0.2, upper_case=0.1)
    found = augmented([post()] * 2000, config, 1, 0)
    lower = sum(p.text == TEXT.lower() for p in found) / 2000
    upper = sum("ADA" in p.text for p in found) / 2000
    assert abs(lower - 0.2) < 0.03
    assert abs(upper - 0.1) < 0.03
