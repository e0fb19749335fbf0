"""Predicted spans widened to whole tokens, against token tags and seqeval."""

from __future__ import annotations

import random

import pytest

from twofold.corpora.bio import join, spans_of, tags_of
from twofold.evaluation.comparison import comparable, comparable_extraction, spans
from twofold.evaluation.spans import LenientAndStrictCounter
from twofold.posts import Entity, Extraction, PictureReport, Post, Relation

sequence_labeling = pytest.importorskip(
    "seqeval.metrics.sequence_labeling", reason="seqeval is not installed"
)
TYPES = ("PER", "LOC", "ORG")


def entity(text: str, start: int, end: int, kind: str) -> Entity:
    return Entity(start, end, text[start:end], kind)


def named(text: str, **types: str) -> tuple[Entity, ...]:
    return tuple(entity(text, text.index(name), text.index(name) + len(name), t) for name, t in types.items())


def post(*tokens: str, gold: tuple[Entity, ...] = ()) -> Post:
    text, places = join(tokens)
    return Post(1, text, tokens=places, entities=gold)


def random_post(rng: random.Random) -> Post:
    """Tokens of one to four letters with gold spans over them."""
    tokens = ["".join(rng.choices("abcd", k=rng.randint(1, 4))) for _ in range(rng.randint(1, 9))]
    text, places = join(tokens)
    tags = [rng.choice(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]) for _ in tokens]
    gold = [entity(text, places[s.start][0], places[s.end - 1][1], s.type) for s in spans_of(tags)]
    return Post(1, text, tokens=places, entities=tuple(gold))


def random_entities(of: Post, rng: random.Random) -> list[Entity]:
    """Spans that begin and end anywhere except at white space, in order, not overlapping."""
    letters = [i for i, c in enumerate(of.text) if c != " "]
    borders = sorted(rng.sample(letters, k=min(len(letters), rng.randint(0, 6))))
    return [
        entity(of.text, a, b + 1, rng.choice(TYPES))
        for a, b in zip(borders[::2], borders[1::2], strict=False)
    ]


def token_tags(of: Post, entities: list[Entity]) -> list[str]:
    """One tag per token: a token belongs to the first span that touches it."""
    owner = [next((e for e in entities if e.start < end and e.end > start), None) for start, end in of.tokens]
    tags = []
    for i, e in enumerate(owner):
        prefix = "I" if i and e is not None and owner[i - 1] is e else "B"
        tags.append("O" if e is None else f"{prefix}-{e.type}")
    return tags


def gold_tags(of: Post) -> list[str]:
    starts, ends = [start for start, _ in of.tokens], [end for _, end in of.tokens]
    return tags_of(len(starts), [(starts.index(e.start), ends.index(e.end) + 1, e.type) for e in of.entities])


def test_the_scores_are_those_of_seqeval_on_token_tags():
    rng, counts, gold, predicted = random.Random(1), LenientAndStrictCounter(), [], []
    for _ in range(500):
        p = random_post(rng)
        found = random_entities(p, rng)
        counts.add(spans(p.entities), spans(e for e in comparable(p, found) if e))
        gold.append(gold_tags(p))
        predicted.append(token_tags(p, found))
    wanted = sequence_labeling.precision_recall_fscore_support(gold, predicted, average="micro")[:3]
    score = counts.lenient.scores().overall
    assert (score.precision, score.recall, score.f1) == pytest.approx(wanted)
    assert score.correct > 20


def test_a_span_is_widened_to_the_tokens_it_begins_and_ends_in():
    p = post("see", "#NewYork's", "@ada:", "now")
    found = comparable(p, named(p.text, NewYork="LOC", ada="PER"))
    assert [e.text for e in found] == ["#NewYork's", "@ada:"]


def test_of_two_spans_in_one_token_the_first_counts():
    p = post("Rahul-Sharma", "of", "Rome/Paris", "Ltd")
    found = comparable(p, named(p.text, Rahul="PER", Sharma="PER", Rome="LOC", **{"Paris Ltd": "ORG"}))
    assert [e and (e.text, e.type) for e in found] == [
        ("Rahul-Sharma", "PER"), None, ("Rome/Paris", "LOC"), ("Ltd", "ORG"),
    ]  # fmt: skip


@pytest.mark.parametrize("tokens", [None, ((0, 10),)])
def test_without_tokens_or_with_gold_inside_them_nothing_is_widened(tokens):
    text = "#NewYork's"
    p = Post(1, text, tokens=tokens, entities=named(text, NewYork="LOC"))
    found = named(text, York="LOC")
    assert comparable(p, found) == list(found)


def test_types_are_mapped_and_dropped_before_tokens_are_assigned():
    p = post("Rahul-Sharma")
    found = named(p.text, Rahul="MISC", Sharma="person")
    new = comparable(p, found, {"MISC": "", "person": "PER"})
    assert [e and (e.text, e.type) for e in new] == [None, ("Rahul-Sharma", "PER")]


def test_relations_follow_their_entities():
    p = post("#Ada", "@Acme", "Rome")
    ada, acme, rome = named(p.text, Ada="PER", Acme="ORG", Rome="MISC")
    relations = (Relation(ada, acme, "member_of"), Relation(ada, rome, "place_of"))
    extraction = Extraction(1, p.text, (ada, acme, rome), PictureReport("none"), "m", relations=relations)
    new = comparable_extraction(p, extraction, {"MISC": ""})
    assert [e.text for e in new.entities] == ["#Ada", "@Acme"]
    (relation,) = new.relations
    assert (relation.head, relation.tail) == new.entities


def test_an_argument_that_is_no_entity_stays_as_it_is():
    p = post("#Ada", "@Acme", "Rome")
    ada, acme, rome = named(p.text, Ada="PER", Acme="ORG", Rome="LOC")
    relations = (Relation(ada, rome, "place_of"), Relation(acme, ada, "owner_of"))
    extraction = Extraction(1, p.text, (ada,), PictureReport("none"), "m", relations=relations)
    new = comparable_extraction(p, extraction, {})
    assert [(r.head.text, r.type, r.tail.text) for r in new.relations] == [
        ("#Ada", "place_of", "Rome"), ("Acme", "owner_of", "#Ada"),
    ]  # fmt: skip
    assert new.model == "m"


def test_a_relation_is_dropped_with_either_of_its_arguments():
    p = post("Ada", "Acme")
    ada, acme = named(p.text, Ada="PER", Acme="MISC")
    relations = (Relation(ada, acme, "in"), Relation(acme, ada, "of"))
    extraction = Extraction(1, p.text, (ada, acme), PictureReport("none"), "m", relations=relations)
    new = comparable_extraction(p, extraction, {"MISC": ""})
    assert (new.entities, new.relations) == ((ada,), ())


def test_spans_say_whether_they_are_well_formed():
    well, ill = Entity(0, 1, "x", "PER"), Entity(2, 3, "x", "LOC", well_formed=False)
    assert spans([well, ill]) == [((0, 1, "PER"), True), ((2, 3, "LOC"), False)]


def test_white_space_is_not_a_token():
    p = post("Ada", "Acme")
    between = Entity(3, 4, " ", "PER")
    assert comparable(p, [between, *named(p.text, Ada="PER")][:1]) == [between]
