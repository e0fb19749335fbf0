"""Rules of annotation in which corpora differ, brought into one form after reading.

Types are renamed or dropped; a mention that is annotated as two entities, the sign and the name, becomes one.
It does not know file formats, nor which corpus needs what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twofold.posts import Entity, Post, Relation

WNUT_TYPES = {
    "person": "PER",
    "location": "LOC",
    "group": "ORG",
    "corporation": "ORG",
    "product": "MISC",
    "creative-work": "MISC",
}
"""WNUT-17's six types as the four of the Twitter corpora."""


def with_types(post: Post, types: Mapping[str, str]) -> Post:
    """The post with other entity types.

    Args:
        post: any; of its relations, those go whose head or tail goes.
        types: new name of a type, "" to drop its entities; a type that is not in it keeps its name.
    """
    relations = post.relations and tuple(_relations(post.relations, types))
    return replace(post, entities=post.entities and renamed(post.entities, types), relations=relations)


def renamed(entities: Sequence[Entity], types: Mapping[str, str]) -> tuple[Entity, ...]:
    """Entities with other types; see `with_types`."""
    kept = (entity for entity in entities if types.get(entity.type, entity.type))
    return tuple(replace(entity, type=types.get(entity.type, entity.type)) for entity in kept)


def _relations(relations: Sequence[Relation], types: Mapping[str, str]) -> list[Relation]:
    ends = [(relation, renamed((relation.head, relation.tail), types)) for relation in relations]
    return [replace(relation, head=both[0], tail=both[1]) for relation, both in ends if len(both) == 2]


def with_merged_mentions(post: Post) -> Post:
    """The post without entities that are a lone "@" directly before the entity of the name.

    The Broad Twitter Corpus annotates "@ SportsCenter" as two entities of one type; the name stays.
    """
    entities = post.entities or ()
    starts = {(entity.start, entity.type) for entity in entities}
    kept = tuple(
        entity
        for entity in entities
        if entity.text != "@" or not starts & {(entity.end + gap, entity.type) for gap in (0, 1)}
    )
    return post if post.entities is None else replace(post, entities=kept)
