"""What the page shows of one post, as plain values: the template calculates nothing.

Offsets are code points, as everywhere. Spans that overlap or leave the text (extractions may come from
anywhere) stay in the table and are left out of the highlighting.
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
from twofold.report.escaping import direction

TEXT_LIMIT = 3_000
"""Code points of a post that are shown."""
ENTITY_LIMIT = 200
"""Entities of a post that are shown."""
RELATION_LIMIT = 100
"""Relations of a post that are shown."""
THUMBNAIL = 512
"""Pixels of a thumbnail's longer side, at most."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text; ``entity`` where it is one, else None."""

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
        order: position in the stream, from 1.
        id: the post's own, as text.
        direction: of the text, ``ltr`` or ``rtl``. Left to the browser (dir="auto") it would depend on
            how the text is cut into elements.
        segments: the shown text, in order, cut where entities begin and end.
        hidden_text: code points that are not shown.
        entities: those shown, in order of their start.
        hidden_entities: how many are not.
        relations: those shown.
        hidden_relations: how many are not.
        status: of the picture: ``read``, ``none``, ``unreadable``.
        reason: why it is unreadable, or a remark on how it was read.
        thumbnail: None where there is nothing to show.
        trouble: why a picture that the model did read cannot be shown.
        alt_text: None where the post has none.
        warnings: of the extraction.
        confidence: the lowest of the post's entities and relations; None where none has one.
        aleatoric: the highest of the post's entities; None without evidence.
        epistemic: likewise.
        picture_share: the highest share of evidence from the picture, relations included; None
            without evidence.
    """

    order: int
    id: str
    direction: str
    segments: tuple[Segment, ...]
    hidden_text: int
    entities: tuple[Entity, ...]
    hidden_entities: int
    relations: tuple[Relation, ...]
    hidden_relations: int
    status: str
    reason: str
    thumbnail: Thumbnail | None
    trouble: str
    alt_text: str | None
    warnings: tuple[str, ...]
    confidence: float | None
    aleatoric: float | None
    epistemic: float | None
    picture_share: float | None


def view(order: int, post: Post, extraction: Extraction) -> PostView:
    """Prepare one post for the page; reads its picture."""
    entities = sorted(extraction.entities, key=lambda entity: (entity.start, entity.end))
    segments, hidden = cut(extraction.text, entities)
    thumbnail, trouble = _thumbnail(post, extraction)
    known = [entity.uncertainty for entity in entities if entity.uncertainty is not None]
    return PostView(
        order=order,
        id=str(extraction.id),
        direction=direction(extraction.text),
        segments=tuple(segments),
        hidden_text=hidden,
        entities=tuple(entities[:ENTITY_LIMIT]),
        hidden_entities=max(0, len(entities) - ENTITY_LIMIT),
        relations=extraction.relations[:RELATION_LIMIT],
        hidden_relations=max(0, len(extraction.relations) - RELATION_LIMIT),
        status=extraction.picture.status,
        reason=extraction.picture.reason,
        thumbnail=thumbnail,
        trouble=trouble,
        alt_text=post.alt_text,
        warnings=extraction.warnings,
        confidence=lowest_confidence(extraction),
        aleatoric=max((u.aleatoric for u in known), default=None),
        epistemic=max((u.epistemic for u in known), default=None),
        picture_share=_picture_share((*entities, *extraction.relations)),
    )


def lowest_confidence(extraction: Extraction) -> float | None:
    """Confidence of the least sure entity or relation; None where none has one."""
    every: tuple[Entity | Relation, ...] = (*extraction.entities, *extraction.relations)
    return min((item.confidence for item in every if item.confidence is not None), default=None)


def _picture_share(items: Iterable[Entity | Relation]) -> float | None:
    """The largest part that what was seen in the picture has in any of them."""
    seen = [[source.share for name, source in i.sources.items() if name in VISUAL] for i in items]
    return max((sum(shares) for shares in seen if shares), default=None)


def cut(text: str, entities: Sequence[Entity], limit: int = TEXT_LIMIT) -> tuple[list[Segment], int]:
    """Cut a text where entities begin and end.

    Args:
        text: the whole text.
        entities: in order of their start.
        limit: code points to show; an entity that begins within them is shown whole.

    Returns:
        The segments, which joined give the beginning of the text, and how many code points are left out.
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
        return None, "the picture is not at hand"
    try:
        small = read_thumbnail(post.image, THUMBNAIL)
    except PictureError as error:
        return None, error.what
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=72, optimize=True, progressive=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(uri, small.width, small.height), ""
