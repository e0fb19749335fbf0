"""Relations on the page: readable, safe with any text, all counted."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from report_page import EVIDENCE, NASTY, Page, entity, found

from twofold.posts import Entity, Extraction, PictureReport, Post, Relation, Uncertainty
from twofold.report import write_report
from twofold.report.post_view import RELATION_LIMIT

TEXT = "Ada of NASA in Bonn"
ADA, NASA, BONN = entity(TEXT, "Ada"), entity(TEXT, "NASA", "ORG"), entity(TEXT, "Bonn", "LOC")


def related(id: int, *relations: Relation, text: str = TEXT, entities=(ADA, NASA, BONN)):
    post, extraction = found(id, text, *entities)
    return post, Extraction(id, text, entities, extraction.picture, "m", relations=relations)


WORKS = Relation(ADA, NASA, "/per/org/member_of", 0.732, **EVIDENCE)
LIVES = Relation(ADA, BONN, "/per/loc/place_of_residence", 0.41, **EVIDENCE)


@pytest.fixture
def page(tmp_path: Path):
    def build(*extractions: tuple[Post, Extraction], symmetric: Collection[str] = ()) -> Page:
        write_report(extractions, tmp_path / "report.html", model="m", symmetric=symmetric)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return build


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("/per/org/member_of", "member of"),
        ("/per/per/alumi", "alumi"),
        ("works_for", "works for"),
        ("née à", "née à"),
        ("/", "/"),
        ("a/_", "a/_"),
        ("None", "None"),
    ],
)
def test_readable_labels(label: str, words: str) -> None:
    assert Relation(ADA, NASA, label).words == words


def test_head_relation_tail_and_confidence(page) -> None:
    built = page(related(1, WORKS))
    text = built.text.replace("\xa0", " ")
    assert "Ada member of NASA" in text
    assert "73 %" in text
    assert "1 post, 3 entities, 1 relation" in text
    assert re.search(r"Relations by type member of ?1", text)
    (table,) = built.all("table", **{"class": "predictions relations"})
    assert table["role"] == "table"
    assert built.all("span", **{"class": "relation", "title": "/per/org/member_of"})  # the label is kept
    for figure in ("0.250", "0.031", "text 50", "picture 30", "alt text 20"):
        assert text.count(figure) >= 1
    assert "Relations: from another model, on another scale" in text


def test_a_relation_that_holds_in_both_directions_has_no_arrow(page) -> None:
    built = page(related(1, WORKS, LIVES), symmetric={LIVES.type})
    names = re.findall(r'<span class="triple([^"]*)">.*?title="([^"]*)"', built.html)
    assert {(kind.strip(), title) for kind, title in names} == {
        ("directed", WORKS.type),
        ("", f"{LIVES.type}, in both directions"),
    }
    assert re.findall(r"([^\n]*)\{ content: [^}]*2192", built.html) == [".directed .relation::after "]


def test_relations_and_entities_are_ranked_separately(page) -> None:
    entities = [entity(TEXT, w, uncertainty=Uncertainty(0.1, v)) for w, v in (("Ada", 1.0), ("NASA", 2.0))]
    relations = [replace(WORKS, uncertainty=Uncertainty(0.1, v)) for v in (0.1, 50.0, 60.0)]
    html = page(related(1, *relations, entities=(*entities, BONN))).html
    levels = [
        re.findall(r'data-label="epistemic"><span class="([a-z]+)-level', table)
        for table in html.split('<table role="table"')[1:]
    ]
    assert levels == [["medium", "medium"], ["low", "medium", "high"]]


def test_a_page_without_relations_does_not_mention_them(page) -> None:
    built = page(related(1))
    assert "elation" not in built.text
    assert "1 post, 3 entities" in built.text


def test_relations_of_low_confidence_are_counted_and_sort_the_posts(page) -> None:
    sure = Relation(ADA, NASA, "/per/org/member_of", 0.95)
    built = page(related(1, sure), related(2, WORKS, LIVES))
    assert built.posts() == ["2", "1"]
    assert "1 relation is more likely wrong than right" in built.text
    unsure = entity(TEXT, "Ada", confidence=0.2)
    both = page(related(1, LIVES, entities=(ADA, NASA, BONN, unsure)))
    assert "1 entity and 1 relation are more likely wrong than right" in both.text


def test_relations_can_be_filtered_by_their_full_label(page) -> None:
    labels = ["two words", 'q"uote', "it's", "<b>"]
    built = page(related(1, *(Relation(ADA, NASA, label, 0.5) for label in labels)))
    (article,) = built.all("article")
    assert json.loads(str(article["data-relation-types"])) == labels
    assert [a["value"] for a in built.all("input", type="checkbox", name="relation_type")] == labels


def test_markup_in_a_relation_stays_text(page) -> None:
    odd = Entity(0, 8, NASTY, NASTY, 0.5)
    relation = Relation(odd, odd, NASTY, 0.5, **EVIDENCE)
    built = page(related(1, relation, text=NASTY, entities=(odd,)))
    assert len(built.all("script")) == 1
    assert not built.all("img")
    assert not [a for _, a in built.elements if any(name.startswith("on") for name in a)]


def test_bidirectional_text_in_a_relation_is_isolated_and_overrides_are_named(page) -> None:
    text = "דנה\u202e של NASA"
    dana = Entity(0, 4, text[:4], "PER", 0.9)
    built = page(related(1, Relation(dana, NASA, "x", 0.5), text=text, entities=(dana,)))
    assert "\u202e" not in built.html
    assert re.search(r'<bdi class="argument t0">דנה<span class="unseen"', built.html)


def test_relations_without_evidence(page) -> None:
    plain = Entity(0, 3, "Ada", "PER")
    post = Post(1, TEXT)
    extraction = Extraction(
        1, TEXT, (plain, NASA), PictureReport("none"), "m", relations=(Relation(plain, NASA, "x", 0.5),)
    )
    built = page((post, extraction))
    assert "Uncertainty in numbers" not in built.text


def test_arguments_without_a_type(page) -> None:
    ada, nasa = Entity(0, 3, "Ada", ""), Entity(7, 11, "NASA", "")
    built = page(related(1, Relation(ada, nasa, "x", 0.5), entities=(ada, nasa)))
    assert "Ada x NASA" in built.text
    assert built.all("bdi", **{"class": "argument"})


def test_relations_beyond_the_limit_are_counted(page) -> None:
    many = [Relation(ADA, NASA, "x", 0.5)] * (RELATION_LIMIT + 5)
    built = page(related(1, *many))
    assert "5 relations more, not shown" in built.text
    assert f"{RELATION_LIMIT + 5} relations" in built.text


def test_review_marks_and_other_candidates(page) -> None:
    unsure = replace(LIVES, review=True, candidates=(LIVES.type, "/per/loc/place_of_birth", "None"))
    who = replace(ADA, review=False, candidates=("PER", "org/firm"))
    post, extraction = related(1, replace(unsure, head=who), replace(WORKS, head=who, review=False))
    extraction = replace(extraction, entities=(who, NASA, BONN))
    built = page((post, extraction))
    assert built.text.count("to review") == 1
    assert "or place of birth, None" in built.text
    assert "or org/firm" in built.text
    assert "To review" in built.text  # the guide explains it
    assert "To review" not in page(related(1, WORKS)).text
