"""The data model: filtering an extraction by confidence."""

from __future__ import annotations

import pytest

from twofold.posts import Entity, Extraction, PictureReport, Relation


def extraction() -> Extraction:
    entities = tuple(
        Entity(start, start + 1, "x", "PER", confidence)
        for start, confidence in ((0, 0.9), (2, 0.5), (4, 0.8), (6, None))
    )
    relations = (
        Relation(entities[0], entities[1], "peer", 0.95),
        Relation(entities[0], entities[2], "peer", 0.7),
        Relation(entities[2], entities[3], "peer", 0.85),
    )
    return Extraction(1, "x x x x", entities, PictureReport("none"), "m", relations=relations)


@pytest.mark.parametrize(
    ("minimum", "entities", "relations"),
    [
        (0.0, [0, 2, 4, 6], [(0, 2), (0, 4), (4, 6)]),
        (0.5, [0, 2, 4, 6], [(0, 2), (0, 4), (4, 6)]),
        (0.6, [0, 4, 6], [(0, 4), (4, 6)]),  # a confident relation is dropped with its entity
        (0.75, [0, 4, 6], [(4, 6)]),
        (0.82, [0, 6], []),
        (1.0, [6], []),  # gold entities have no confidence and stay
    ],
)
def test_less_confident_entities_are_dropped_with_their_relations(minimum, entities, relations):
    left = extraction().with_confidence(minimum)
    assert [entity.start for entity in left.entities] == entities
    assert [(r.head.start, r.tail.start) for r in left.relations] == relations
    assert (left.id, left.text, left.picture, left.model) == (1, "x x x x", PictureReport("none"), "m")
