"""What the shipped model should find in posts as people write them; each post is an example of its type.

A post that the current model gets wrong is marked as an expected failure, with the reason; once a model gets
it right, the mark must go. Whether a title or a final full stop belongs to a name ("Dr.", "Jr.") is a matter
of convention and makes no difference here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

import twofold
from twofold.pipeline.extractor import Extractor


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return twofold.load(relation_model=False)


def found(extractor: Extractor, text: str) -> list[tuple[str, str]]:
    (extraction,) = extractor.extract([text])
    return [(e.text.rstrip(".").removeprefix("Dr. "), e.type) for e in extraction.entities]


def wrong(reason: str, *values: Any) -> Any:
    """A case that the current model gets wrong."""
    return pytest.param(*values, marks=pytest.mark.xfail(reason=reason, strict=True))


@pytest.mark.parametrize(
    ("name", "between"),
    [
        (name, between)
        for name in ("LeBron James", "Lionel Messi", "Serena Williams")
        for between in (" ", ", ", " vs ")
    ],
)
def test_a_name_is_found_each_time_it_occurs(extractor: Extractor, name: str, between: str) -> None:
    assert found(extractor, f"{between.join([name] * 4)} and {name}") == [(name, "PER")] * 5


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (  # hospitals are places: 12 of the 13 in the training parts of Twitter-2015 and BTC are
            "Thanks to my boss Rahul Gandhi-Sharma Jr. of St. Mary's Hospital, St. Louis, Mo.",
            {("Rahul Gandhi-Sharma Jr", "PER"), ("St. Mary's Hospital", "LOC"), ("St. Louis", "LOC")},
        ),
        ("Dr. Martin Luther King Jr. was born in Atlanta", {("Martin Luther King Jr", "PER")}),
        wrong(
            "only the context tells which of the two words May is a name",
            "May will meet Jordan in Jordan in May",
            {("May", "PER"), ("Jordan", "PER"), ("Jordan", "LOC")},
        ),
        ("Paris Hilton flew to Paris", {("Paris Hilton", "PER"), ("Paris", "LOC")}),
        ("Washington beat Dallas in Washington", {("Washington", "ORG"), ("Washington", "LOC")}),
        ("RT @BBCNews: Theresa May resigns #Brexit", {("Theresa May", "PER")}),
    ],
)
def test_names_are_found_completely(
    extractor: Extractor, text: str, names: Collection[tuple[str, str]]
) -> None:
    assert set(names) <= set(found(extractor, text))


def test_a_month_is_not_a_person(extractor: Extractor) -> None:
    (extraction,) = extractor.extract(["May will meet Jordan in Jordan in May"])
    assert all(entity.end <= len("May will meet Jordan in Jordan") for entity in extraction.entities)


@pytest.mark.parametrize("link", ["http://t.co/qYcsK366MZ", "https://www.example.org/news?id=7"])
@pytest.mark.parametrize(
    "text",
    [
        "RT @BBCNews: Theresa May resigns #Brexit",
        "Thanks @JohnSmith for #Paris today",
        "Angela Merkel meets Emmanuel Macron in Berlin",
        "Watching #TheVoice with @AdamLevine in Los Angeles",
    ],
)
def test_a_link_changes_nothing(extractor: Extractor, text: str, link: str) -> None:
    assert found(extractor, f"{text} {link}") == found(extractor, text)


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("Thanks to @ada.bsky.social for showing us around Berlin", "@ada.bsky.social"),
        ("thanks @nora.example.org, see you in Paris!", "@nora.example.org"),
        ("Thanks to @ada@mastodon.social for showing us Berlin", "@ada@mastodon.social"),
        ("shout out to @NASA@social.example.org for Mars", "@NASA@social.example.org"),
        ("Huge thanks to u/AdaLovelace from London", "u/AdaLovelace"),
        ("u/spez announced it, says Steve Huffman of Reddit", "u/spez"),
        ("Moving from r/berlin to Berlin next week", "r/berlin"),
    ],
)
def test_an_entity_contains_a_whole_mention_or_none_of_it(
    extractor: Extractor, text: str, mention: str
) -> None:
    begin = text.index(mention)
    end = begin + len(mention)
    name = begin + (2 if mention[1] == "/" else 1)
    (extraction,) = extractor.extract([text])
    touching = [e for e in extraction.entities if e.start < end and e.end > begin]
    assert all(e.start in (begin, name) and e.end == end for e in touching)


@pytest.mark.parametrize("link", ["", " http://t.co/qYcsK366MZ"])
@pytest.mark.parametrize(("mentions", "hashtags"), [("none", "none"), ("name", "none"), ("name", "name")])
def test_the_convention_decides_what_mentions_and_hashtags_are(
    mentions: str, hashtags: str, link: str
) -> None:
    extractor = twofold.load(relation_model=False, mentions=mentions, hashtags=hashtags)
    names = {text for text, _ in found(extractor, f"Thanks @JohnSmith for #Paris today{link}")}
    wanted = [("JohnSmith", mentions), ("Paris", hashtags)]
    assert names == {name for name, rule in wanted if rule == "name"}
