"""The model that ships with the package, on real posts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import twofold
from twofold.corpora import open_corpus
from twofold.model_folder.card_pages import pages, read_card
from twofold.pipeline.extractor import Extractor, default_folder
from twofold.posts import Extraction, Post


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return twofold.load()


def test_it_is_small_and_knows_four_types(extractor: Extractor) -> None:
    sizes = [file.stat().st_size for file in default_folder().rglob("*") if file.is_file()]
    assert sum(sizes) <= 45e6
    assert sorted(extractor.types) == ["LOC", "MISC", "ORG", "PER"]
    assert extractor.pipeline.folder.config.modalities == ("text", "picture", "alt_text")


def test_it_finds_relations_in_the_right_direction(extractor: Extractor) -> None:
    texts = ["Ada Marchetti took us under the Colosseum in Rome", "Rome is home to the Colosseum"]
    for found in extractor.extract(texts):
        (relation,) = (r for r in found.relations if {r.head.text, r.tail.text} == {"Rome", "Colosseum"})
        assert (relation.head.text, relation.type) == ("Rome", "/loc/loc/contain")
        assert 0 < (relation.confidence or 0) < 1
    assert twofold.load(relation_model=False).relations == ()


def test_no_file_contains_paths_of_its_build() -> None:
    for file in default_folder().rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"site-packages" not in content, file.name
        assert b"/src/twofold/" not in content, file.name


def test_it_controls_error_rates_and_its_card_names_the_data(extractor: Extractor) -> None:
    folder = default_folder()
    card = read_card(folder)
    assert card["calibration"]["fitted_on"] == [part["name"] for part in card["dev"]]
    texts = [(place / "README.md").read_text(encoding="utf-8") for place in (folder, folder / "relations")]
    assert list(pages(card, "")) == texts
    marked = twofold.load(max_error=0.1, coverage=0.9)
    (found,) = marked.extract(["Anna Smith met Bob Jones in Paris"])
    assert {entity.review for entity in found.entities} <= {True, False}
    assert all(entity.type in entity.candidates for entity in found.entities)
    (related,) = marked.extract(["Rome is home to the Colosseum"])
    assert [r.review for r in related.relations] == [True]  # no such error rate is guaranteed for relations
    risks = {risk["max_error"]: risk["threshold"] for risk in card["calibration"]["report"]["risk_control"]}
    assert marked.entity_risk is not None
    assert marked.entity_risk.threshold == pytest.approx(risks[0.1], abs=1e-6)


def test_the_examples_give_entities_with_evidence(extractor: Extractor) -> None:
    file = Path(__file__).parents[1] / "examples" / "posts.jsonl"
    posts = [post for post in open_corpus(file) if isinstance(post, Post)]
    found = list(extractor.extract(posts))
    assert [x.id for x in found] == [post.id for post in posts]
    assert {x.picture.status for x in found} == {"read", "none", "unreadable"}
    entities = [entity for x in found for entity in x.entities]
    assert {entity.type for entity in entities} >= {"PER", "LOC", "ORG"}
    for entity in entities:
        assert 0 < entity.confidence <= 1
        assert sum(s.share for s in entity.sources.values()) == pytest.approx(1, abs=1e-5)
        assert entity.uncertainty.aleatoric > 0
        assert entity.uncertainty.epistemic > 0


def test_a_post_gives_exactly_the_same_alone_and_in_a_batch(extractor: Extractor) -> None:
    """To the last bit of every number, with pictures and without."""
    file = Path(__file__).parents[1] / "examples" / "posts.jsonl"
    posts = [post for post in open_corpus(file) if isinstance(post, Post)][:4]
    posts += [Post("long", "The quick brown fox of BBC News met Messi in Rome " * 3)]
    assert list(extractor.extract(posts)) == [next(iter(extractor.extract([post]))) for post in posts]


@pytest.mark.slow
def test_a_post_gives_exactly_the_same_in_any_batch(extractor: Extractor) -> None:
    """To the last bit of every number: in any batch and order, on any number of threads, alone."""
    file = Path(__file__).parents[1] / "examples" / "posts.jsonl"
    posts = [post for post in open_corpus(file) if isinstance(post, Post)]
    texts = ["Ada Lovelace in Paris", "lol", "The quick brown fox of BBC News met Messi in Rome " * 5]
    posts += [Post(text, text) for text in texts]
    expected = [next(iter(extractor.extract([post]))) for post in posts]
    assert sum(len(x.relations) for x in expected) > 5
    for batch_size in (3, 8, 32):
        assert list(extractor.extract(posts, batch_size=batch_size)) == expected
    assert list(extractor.extract(posts[::-1])) == expected[::-1]
    for threads in (1, 2):
        assert list(twofold.load(threads=threads).extract(posts)) == expected


def dev_posts(shared: Path) -> list[Post]:
    return [p for p in open_corpus(shared / "data" / "twitter2017" / "valid.txt") if isinstance(p, Post)]


def as_typed(tokens: Sequence[str]) -> str:
    """Tokens joined as people write them: without spaces around punctuation."""
    text = " ".join(tokens)
    text = re.sub(r" ([.,!?;:)\]…’”'%])", r"\1", text)
    text = re.sub(r"([(\[#@“‘$]) ", r"\1", text)
    return re.sub(r"(['’/-]) ", r"\1", text)


def typed_texts(extraction: Extraction) -> list[tuple[str, str]]:
    return [(entity.type, re.sub(r"\s", "", entity.text)) for entity in extraction.entities]


@pytest.mark.slow
@pytest.mark.parametrize("join", [" ".join, as_typed])
def test_tokens_and_typed_text_give_the_same_entities(extractor, shared, join) -> None:
    posts = dev_posts(shared)[::3]
    tokens = [[p.text[a:b] for a, b in p.tokens] for p in posts]
    typed = [Post(p.id, join(words)) for p, words in zip(posts, tokens, strict=True)]
    same = [
        typed_texts(a) == typed_texts(b)
        for a, b in zip(extractor.extract(posts), extractor.extract(typed), strict=True)
    ]
    assert sum(same) / len(same) >= 0.99


@pytest.mark.slow
def test_dev_score_of_the_text_alone(shared: Path) -> None:
    extractor = twofold.load(convention="twitter2017", relation_model=False)
    posts = [replace(post, entities=None) for post in dev_posts(shared)]
    gold = [{(e.start, e.end, e.type) for e in post.entities or ()} for post in dev_posts(shared)]
    found = [{(e.start, e.end, e.type) for e in x.entities} for x in extractor.extract(posts)]
    right = sum(len(a & b) for a, b in zip(gold, found, strict=True))
    f1 = 200 * right / (sum(map(len, gold)) + sum(map(len, found)))
    assert f1 > 83.5
