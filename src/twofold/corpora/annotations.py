"""Rules of annotation in which corpora differ, brought into one form after reading.

A mention that is annotated as two entities, the sign and the name, becomes one; arguments of relations stand
for entities that nobody annotated; for types see `posts.with_types`. It does not know file formats, nor which
corpus needs what.
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


def has_mark(text: str) -> bool:
    """Whether a mark of a mention or a hashtag stands in it: if that belongs to an entity is a matter of the
    convention."""
    return "@" in text or "#" in text


def with_arguments(post: Post) -> Post:
    """The post with the arguments of its relations as entities, where it has none of its own.

    Each comes once, with a type where one is known, and none `has_mark`.
    """
    if post.entities is not None or post.relations is None:
        return post
    ends = [end for relation in post.relations for end in (relation.head, relation.tail)]
    found: dict[tuple[int, int], Entity] = {}
    for end in sorted(ends, key=lambda end: (end.start, end.end, not end.type)):
        if not has_mark(end.text):
            found.setdefault((end.start, end.end), end)
    return replace(post, entities=tuple(found.values()))


def without_marks(post: Post, marks: str) -> Post:
    """The post with these marks, and white space, cut from the beginning of its entities.

    Args:
        post: any.
        marks: any of "#" and "@".
    """

    def cut(entity: Entity) -> Entity:
        text = entity.text.lstrip(f"{marks} ")
        return replace(entity, start=entity.end - len(text), text=text) if text else entity

    return post if post.entities is None else replace(post, entities=tuple(map(cut, post.entities)))
