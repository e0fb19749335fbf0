"""BIO tags to spans and back, and a text from its tokens.

Spans are read leniently, as conlleval does: an ``I-X`` that follows neither ``B-X`` nor ``I-X`` begins a
span, which is marked as not well formed, except in IOB1, where spans begin like that. Token positions are
counted from 0, end exclusive. It does not know file formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from twofold.posts import Entity

TokenSpan = tuple[int, int]
Scheme = Literal["BIO", "IOB1"]

_TAG = re.compile(r"O|[BIESLU]-[^\t\n\r]+")
_SAME_AS = {"S": "B", "U": "B", "E": "I", "L": "I"}


class TagSpan(NamedTuple):
    """A run of tags of one type.

    Attributes:
        start: its first token.
        end: one past its last token.
        type: the part of the tags after the first hyphen.
        well_formed: False where the run began with ``I-``.
    """

    start: int
    end: int
    type: str
    well_formed: bool = True


def is_tag(tag: str) -> bool:
    """Whether it is a tag: ``O``, or ``B-X``, ``I-X`` or their equivalents in BIOES and BILOU."""
    return _TAG.fullmatch(tag) is not None


def spans_of(tags: Sequence[str], scheme: Scheme = "BIO") -> list[TagSpan]:
    """Spans of a sequence of tags, in order; ``S-``, ``U-`` are read as ``B-``, ``E-``, ``L-`` as ``I-``.

    Args:
        tags: of one post.
        scheme: of the file, see `columns.scheme_of`; BIOES and BILOU are read as BIO.
    """
    spans: list[TagSpan] = []
    begin, type_, well_formed = -1, "", True
    for i, tag in enumerate(tags):
        if tag == "O" and begin < 0:
            continue
        prefix, _, tag_type = tag.partition("-")
        prefix = _SAME_AS.get(prefix, prefix)
        if begin >= 0 and (prefix != "I" or tag_type != type_):
            spans.append(TagSpan(begin, i, type_, well_formed))
            begin = -1
        if begin < 0 and prefix != "O":
            begin, type_, well_formed = i, tag_type, prefix == "B" or scheme == "IOB1"
    if begin >= 0:
        spans.append(TagSpan(begin, len(tags), type_, well_formed))
    return spans


def tags_of(length: int, spans: Iterable[tuple[int, int, str] | TagSpan]) -> list[str]:
    """Valid BIO tags of ``length`` tokens.

    Args:
        length: number of tokens.
        spans: (start, end, type, …) each, not overlapping, within the tokens; anything after the type
            is ignored, so that spans that were not well formed become well formed.
    """
    tags = ["O"] * length
    for span in spans:
        start, end, type_ = span[:3]
        tags[start:end] = [f"B-{type_}"] + [f"I-{type_}"] * (end - start - 1)
    return tags


def tags_as_written(length: int, spans: Iterable[TagSpan]) -> list[str]:
    """As `tags_of`, but a span that was not well formed begins with ``I-`` again."""
    spans = list(spans)
    tags = tags_of(length, spans)
    for span in spans:
        before = tags[span.start - 1] if span.start else "O"
        if not span.well_formed and before[2:] != span.type:  # otherwise it would join the span before
            tags[span.start] = f"I-{span.type}"
    return tags


def join(tokens: Sequence[str]) -> tuple[str, tuple[TokenSpan, ...]]:
    """The tokens joined by spaces, and the (start, end) of each in the text."""
    spans: list[TokenSpan] = []
    position = 0
    for token in tokens:
        spans.append((position, position + len(token)))
        position += len(token) + 1
    return " ".join(tokens), tuple(spans)


def entities_of(text: str, token_spans: Sequence[TokenSpan], spans: Iterable[TagSpan]) -> tuple[Entity, ...]:
    """Entities of a text from spans over its tokens.

    Args:
        text: the text.
        token_spans: (start, end) of each token in it.
        spans: over the tokens.
    """
    return tuple(
        _entity(text, token_spans[span.start][0], token_spans[span.end - 1][1], span) for span in spans
    )


def _entity(text: str, start: int, end: int, span: TagSpan) -> Entity:
    return Entity(start, end, text[start:end], span.type, well_formed=span.well_formed)
