"""The table on a terminal: one line per entity or relation, with type and confidence at any width."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import replace

import pytest
from report_page import EVIDENCE, entity
from rich.console import Console

from twofold.console.extraction_table import ExtractionTable
from twofold.posts import Entity, Extraction, PictureReport, Relation

TEXT = "Ada of NASA in Bonn"
ADA, NASA, BONN = (
    entity(TEXT, word, type, **EVIDENCE) for word, type in (("Ada", "PER"), ("NASA", "ORG"), ("Bonn", "LOC"))
)
WORKS = Relation(ADA, NASA, "/per/org/member_of", 0.732, **EVIDENCE)
LIVES = Relation(ADA, BONN, "/per/loc/place_of_residence", 0.41, **EVIDENCE)


def table(
    *relations: Relation,
    width: int,
    entities: tuple[Entity, ...] = (ADA, NASA, BONN),
    symmetric: Collection[str] = (),
) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    extraction = Extraction(1, TEXT, entities, PictureReport("none"), "m", relations=relations)
    ExtractionTable(console, symmetric).add(extraction)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_relation_is_in_one_line_if_it_fits() -> None:
    lines = table(WORKS, width=120)
    (line,) = [line for line in lines if "member of" in line]
    assert line.split() == [
        "Ada", "member", "of", "→", "NASA", "0.73", "0.25/0.03",
        "text", "50%", "·", "picture", "30%", "·", "alt", "20%",
    ]  # fmt: skip
    entity_line = next(line for line in lines if " PER " in line)
    assert line.index("0.73") == entity_line.index("0.90")


def test_long_arguments_have_a_line_of_their_own() -> None:
    lines = table(LIVES, width=80)
    place = next(i for i, line in enumerate(lines) if "place of residence" in line)
    assert "0.41" in lines[place]
    assert lines[place + 1].strip() == "Ada → Bonn"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_type_and_confidence_are_shown_at_any_width(width: int) -> None:
    lines = table(WORKS, width=width)
    assert lines[0].split()[:3] == ["entity", "type", "conf."]
    rows = [line.split()[:3] for line in lines if " 0.90" in line]
    assert rows == [["Ada", "PER", "0.90"], ["NASA", "ORG", "0.90"], ["Bonn", "LOC", "0.90"]]
    assert any("0.73" in line for line in lines)
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("width", "columns"), [(40, []), (60, ["aleat./epist."]), (80, ["aleat./epist.", "evidence"])]
)
def test_what_a_narrow_terminal_leaves_out(width: int, columns: list[str]) -> None:
    lines = table(width=width)
    assert lines[0].split()[3:] == columns
    assert not any("…" in line for line in lines)


def test_a_relation_that_holds_in_both_directions_has_no_arrow() -> None:
    for width in (30, 80):
        assert not any(
            "→" in line for line in table(WORKS, LIVES, width=width, symmetric={WORKS.type, LIVES.type})
        )
        assert sum("→" in line for line in table(WORKS, LIVES, width=width, symmetric={WORKS.type})) == 1


def test_no_control_character_reaches_the_terminal() -> None:
    odd = Entity(0, 3, "A\x1b[31m", "PER", 0.5)
    assert "\x1b" not in "".join(table(Relation(odd, NASA, "x\x1b[31my", 0.5), width=120))


def test_what_to_review_and_the_other_candidates() -> None:
    unsure = replace(LIVES, review=True, candidates=(LIVES.type, "/per/loc/place_of_birth", "None"))
    who = replace(ADA, review=False, candidates=("PER", "org/firm"))
    relations = replace(unsure, head=who), replace(WORKS, head=who, review=False)
    rows = [line.split() for line in table(*relations, width=120, entities=(who, NASA, BONN))]
    assert [row[:3] for row in rows if row[:1] == ["?"]] == [["?", "Ada", "place"]]
    assert ["or", "place", "of", "birth,", "None"] in rows
    assert ["or", "org/firm"] in rows
