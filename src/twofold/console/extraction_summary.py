"""What an extraction came to: warnings on the way, and one line of counts at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twofold.console.outputs import RejectLog
from twofold.console.progress import Progress
from twofold.posts import Extraction, Post

_NAMED = 20
"""Unreadable pictures and other warnings named on stderr; the rest are counted."""


@dataclass
class ExtractionSummary:
    """Counts what was extracted, and names what needs a person's eye.

    Attributes:
        progress: receives warnings.
        rejected: the rejected lines.
        related: whether relations are extracted, too.
        posts, entities, relations, unreadable, warnings: counts.
        truncated: posts that were read in part.
        review, relations_to_review: entities and relations marked for review.
    """

    progress: Progress
    rejected: RejectLog
    related: bool
    posts: int = 0
    entities: int = 0
    review: int = 0
    relations: int = 0
    relations_to_review: int = 0
    unreadable: int = 0
    truncated: int = 0
    warnings: int = 0

    @property
    def nothing_done(self) -> bool:
        """Whether there was something to do and none of it could be done."""
        return self.posts == 0 and len(self.rejected) > 0

    def add(self, post: Post, extraction: Extraction) -> None:
        """Count one post and what was extracted from it."""
        self.posts += 1
        self.entities += len(extraction.entities)
        self.review += sum(entity.review is True for entity in extraction.entities)
        self.relations += len(extraction.relations)
        self.relations_to_review += sum(relation.review is True for relation in extraction.relations)
        if extraction.picture.status == "unreadable":
            self.unreadable += 1
            name = f"picture {post.image}" if isinstance(post.image, Path) else "picture"
            self._warn(post, f"{name} unreadable, its text was read: {extraction.picture.reason}")
        self.truncated += bool(extraction.truncated)
        for warning in extraction.warnings:
            self._warn(post, warning)
        self.progress.step(post)

    def _warn(self, post: Post, text: str) -> None:
        self.warnings += 1
        if self.warnings <= _NAMED:
            self.progress.log(f"{post.origin or 'post'} (id {post.id!r}): {text}")

    def end(self) -> None:
        """Say how many warnings were not shown."""
        if self.warnings > _NAMED:
            self.progress.log(
                f"and {self.warnings - _NAMED:,} more such warnings; the output names the pictures"
            )

    def line(
        self, seconds: float, places: Sequence[Path], *, reviewed: bool, relations_reviewed: bool
    ) -> str:
        """All counts.

        Args:
            seconds: that the run took.
            places: files that were written.
            reviewed: whether entities were marked for review.
            relations_reviewed: whether relations were.
        """
        counts = (
            _count(self.posts, "post", "posts"),
            _count(self.entities, "entity", "entities"),
            *_to_review(self.review, reviewed),
            *([_count(self.relations, "relation", "relations")] if self.related else []),
            *_to_review(self.relations_to_review, relations_reviewed and self.related),
            f"{_count(self.unreadable, 'picture', 'pictures')} unreadable",
            f"{_count(len(self.rejected), 'line', 'lines')} rejected",
        )
        where = f" -> {', '.join(map(str, places))}" if places else ""
        return f"{', '.join(counts)}; {seconds:.1f} s{where}"


def _to_review(number: int, wanted: bool) -> list[str]:
    return [f"{number:,} of them to review"] if wanted else []


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
