"""Counts of an extraction, which add up over shards and runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from twofold.posts import Extraction, Post


@dataclass
class Counts:
    """Counts of posts and of what was extracted from them.

    Attributes:
        posts, entities, relations, unreadable, warnings, rejected: counts.
        review, relations_to_review: entities and relations marked for review.
        truncated: posts of which only a part was processed.
    """

    posts: int = 0
    entities: int = 0
    review: int = 0
    relations: int = 0
    relations_to_review: int = 0
    unreadable: int = 0
    truncated: int = 0
    warnings: int = 0
    rejected: int = 0

    def add(self, post: Post, extraction: Extraction) -> list[str]:
        """Count a post and what was extracted from it; return its warnings."""
        self.posts += 1
        self.entities += len(extraction.entities)
        self.review += sum(entity.review is True for entity in extraction.entities)
        self.relations += len(extraction.relations)
        self.relations_to_review += sum(relation.review is True for relation in extraction.relations)
        self.truncated += bool(extraction.truncated)
        warnings = list(extraction.warnings)
        if extraction.picture.status == "unreadable":
            self.unreadable += 1
            name = f"picture {post.image}" if isinstance(post.image, Path) else "picture"
            warnings.insert(0, f"{name} unreadable, post extracted without it: {extraction.picture.reason}")
        self.warnings += len(warnings)
        return [f"{post.origin or 'post'} (id {post.id!r}): {warning}" for warning in warnings]

    def __add__(self, other: Counts) -> Counts:
        names = [field.name for field in dataclasses.fields(self)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def nothing_done(self) -> bool:
        """Whether there were records and all of them were rejected."""
        return self.posts == 0 and self.rejected > 0

    @property
    def incomplete(self) -> bool:
        """Whether a picture was unreadable or a post was truncated, which ``--strict`` makes a failure."""
        return self.unreadable > 0 or self.truncated > 0
