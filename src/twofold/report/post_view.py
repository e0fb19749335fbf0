"""The content of the report for one post, as plain values: the template calculates nothing.

Offsets are code points, as everywhere. Spans that overlap or lie outside the text (extractions may come from
anywhere) stay in the table, but are not highlighted.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twofold.errors import PictureError
from twofold.posts import Entity, Extraction, Post, Relation
from twofold.preprocessing.images import read_thumbnail
from twofold.preprocessing.modalities import VISUAL
from twofold.report.escaping import text_direction

TEXT_LIMIT = 3_000
"""Code points of a post that are shown."""
ENTITY_LIMIT = 200
"""Entities of a post that are shown."""
RELATION_LIMIT = 100
"""Relations of a post that are shown."""
THUMBNAIL_PIXELS = 512
"""Maximum pixels of a thumbnail's longer side."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the text; ``entity`` is None where it is not an entity."""

    text: str
    entity: Entity | None = None


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture inside the page.

    Attributes:
        uri: the JPEG as a data URI.
        width: in pixels.
        height: in pixels.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PostView:
    """One post on the page.

    Attributes:
        number: position in the stream, from 1.
        id: of the post, as text.
        direction: of the text, ``ltr`` or ``rtl``. With dir="auto", a browser would choose it by the elements
            into which the text is split.
        segments: the shown text, in order, split where entities begin and end.
        hidden_text: code points that are not shown.
        entities: shown entities, in order of their start.
        hidden_entities: number of entities that are not shown.
        relations: shown relations.
        hidden_relations: number of relations that are not shown.
        picture_status: ``read``, ``none``, ``unreadable``.
        picture_note: why the picture is unreadable, or a note on how it was read.
        thumbnail: None where no picture can be shown.
        thumbnail_error: why a picture that the model used cannot be shown.
        alt_text: None where the post has none.
        warnings: of the extraction.
        confidence: the lowest of the post's entities and relations; None where none has one.
        aleatoric: the highest of the post's entities; None without evidence.
        epistemic: likewise.
        picture_share: the highest share of evidence from the picture, relations included; None
            without evidence.
    """

    number: int
    id: str
    direction: str
    segments: tuple[Segment, ...]
    hidden_text: int
    entities: tuple[Entity, ...]
    hidden_entities: int
    relations: tuple[Relation, ...]
    hidden_relations: int
    picture_status: str
    picture_note: str
    thumbnail: Thumbnail | None
    thumbnail_error: str
    alt_text: str | None
    warnings: tuple[str, ...]
    confidence: float | None
    aleatoric: float | None
    epistemic: float | None
    picture_share: float | None


def view_post(number: int, post: Post, extraction: Extraction) -> PostView:
    """Prepare one post for the page; reads its picture."""
    entities = sorted(extraction.entities, key=lambda entity: (entity.start, entity.end))
    segments, hidden = split_text(extraction.text, entities)
    thumbnail, error = _thumbnail(post, extraction)
    known = [entity.uncertainty for entity in entities if entity.uncertainty is not None]
    return PostView(
        number=number,
        id=str(extraction.id),
        direction=text_direction(extraction.text),
        segments=tuple(segments),
        hidden_text=hidden,
        entities=tuple(entities[:ENTITY_LIMIT]),
        hidden_entities=max(0, len(entities) - ENTITY_LIMIT),
        relations=extraction.relations[:RELATION_LIMIT],
        hidden_relations=max(0, len(extraction.relations) - RELATION_LIMIT),
        picture_status=extraction.picture.status,
        picture_note=extraction.picture.reason,
        thumbnail=thumbnail,
        thumbnail_error=error,
        alt_text=post.alt_text,
        warnings=extraction.warnings,
        confidence=lowest_confidence(extraction),
        aleatoric=max((u.aleatoric for u in known), default=None),
        epistemic=max((u.epistemic for u in known), default=None),
        picture_share=_picture_share((*entities, *extraction.relations)),
    )


def lowest_confidence(extraction: Extraction) -> float | None:
    """The lowest confidence of the post's entities and relations; None where none has one."""
    items: tuple[Entity | Relation, ...] = (*extraction.entities, *extraction.relations)
    return min((item.confidence for item in items if item.confidence is not None), default=None)


def _picture_share(items: Iterable[Entity | Relation]) -> float | None:
    """The highest share of evidence from the picture itself over all items."""
    shares = [[e.share for modality, e in item.sources.items() if modality in VISUAL] for item in items]
    return max((sum(visual) for visual in shares if visual), default=None)


def split_text(text: str, entities: Sequence[Entity], limit: int = TEXT_LIMIT) -> tuple[list[Segment], int]:
    """Split a text where entities begin and end.

    Args:
        text: the whole text.
        entities: in order of their start.
        limit: code points to show; an entity that begins within them is shown whole.

    Returns:
        The segments, which make up the beginning of the text, and the number of code points left out.
    """
    segments: list[Segment] = []
    position = 0
    for entity in entities:
        if not position <= entity.start < entity.end <= len(text) or entity.start >= limit:
            continue
        if entity.start > position:
            segments.append(Segment(text[position : entity.start]))
        segments.append(Segment(text[entity.start : entity.end], entity))
        position = entity.end
    end = max(position, min(limit, len(text)))
    if end > position:
        segments.append(Segment(text[position:end]))
    return segments, len(text) - end


def _thumbnail(post: Post, extraction: Extraction) -> tuple[Thumbnail | None, str]:
    if extraction.picture.status != "read":
        return None, ""
    if post.image is None:
        return None, "the post no longer carries its picture"
    try:
        thumbnail = read_thumbnail(post.image, THUMBNAIL_PIXELS)
    except PictureError as error:
        return None, error.what
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=72, optimize=True, progressive=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(uri, thumbnail.width, thumbnail.height), ""
