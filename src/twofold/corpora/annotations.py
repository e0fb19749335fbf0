"""Annotation conventions in which corpora differ, brought into one form after reading.

A mention that is annotated as two entities, the "@" and the name, becomes one; arguments of relations become
entities where none are annotated; for types see `posts.with_types`. It does not know file formats, nor which
corpus needs which change.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.posts import Entity, Post

WNUT_TYPES = {
    "person": "PER",
    "location": "LOC",
    "group": "ORG",
    "corporation": "ORG",
    "product": "MISC",
    "creative-work": "MISC",
}
"""WNUT-17's six types as the four of the Twitter corpora."""


def with_merged_mentions(post: Post) -> Post:
    """The post without entities that are a lone "@" directly before the entity of the name.

    The Broad Twitter Corpus annotates "@ SportsCenter" as two entities of one type; the name is kept.
    """
    entities = post.entities or ()
    starts = {(entity.start, entity.type) for entity in entities}
    kept = tuple(
        entity
        for entity in entities
        if entity.text != "@" or not starts & {(entity.end + gap, entity.type) for gap in (0, 1)}
    )
    return post if post.entities is None else replace(post, entities=kept)


def has_mark(text: str) -> bool:
    """Whether a text has "@" or "#": conventions differ on whether these belong to an entity."""
    return "@" in text or "#" in text


def with_arguments(post: Post) -> Post:
    """The post with the arguments of its relations as entities, if it is not labelled with entities.

    Each span is added once, with its type if known; one that `has_mark` is left out.
    """
    if post.entities is not None or post.relations is None:
        return post
    arguments = [argument for relation in post.relations for argument in (relation.head, relation.tail)]
    found: dict[tuple[int, int], Entity] = {}
    for argument in sorted(arguments, key=lambda x: (x.start, x.end, not x.type)):
        if not has_mark(argument.text):
            found.setdefault((argument.start, argument.end), argument)
    return replace(post, entities=tuple(found.values()))


def without_marks(post: Post, marks: str) -> Post:
    """The post with these marks, and white space, stripped from the beginning of its entities.

    Args:
        post: any post.
        marks: any of "#" and "@".
    """

    def strip(entity: Entity) -> Entity:
        text = entity.text.lstrip(f"{marks} ")
        return replace(entity, start=entity.end - len(text), text=text) if text else entity

    return post if post.entities is None else replace(post, entities=tuple(map(strip, post.entities)))
