"""A post with some of its words replaced: tokens and gold spans move with the text.

It does not know what the new words are for. Shape letters: W words.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from twofold.posts import Entity, Post
from twofold.preprocessing.segmentation import Span


def with_words(post: Post, words: Sequence[Span], new: Sequence[str]) -> Post:
    """The post with W words replaced by others.

    Args:
        post: any post; its relations are dropped.
        words: (start, end) of each word to replace, in order, not overlapping.
        new: their replacements.
    """
    new_offset = _OffsetMap(words, new)
    text = _text_of(post.text, words, new)
    tokens = None if post.tokens is None else tuple((new_offset(a), new_offset(b)) for a, b in post.tokens)
    entities = None
    if post.entities is not None:
        entities = tuple(_move(entity, new_offset, text) for entity in post.entities)
    return replace(post, text=text, tokens=tokens, entities=entities, relations=None)


class _OffsetMap:
    """Maps offsets of the old text to the new one; inside a shortened word, at most to its end.

    Args:
        words: W words of the old text, (start, end) each.
        new: W words that replace them.
    """

    def __init__(self, words: Sequence[Span], new: Sequence[str]) -> None:
        self._words, self._lengths = words, [len(word) for word in new]
        self._starts = [start for start, _ in words]
        self._shift_before = [0]
        for (start, end), length in zip(words, self._lengths, strict=True):
            self._shift_before.append(self._shift_before[-1] + length - (end - start))

    def __call__(self, offset: int) -> int:
        number = bisect_right(self._starts, offset) - 1  # the last word that begins at or before it
        if number < 0:
            return offset
        start, end = self._words[number]
        if offset >= end:
            return offset + self._shift_before[number + 1]
        return start + self._shift_before[number] + min(offset - start, self._lengths[number])


def _text_of(text: str, words: Sequence[Span], new: Sequence[str]) -> str:
    parts, before = [], 0
    for (start, end), word in zip(words, new, strict=True):
        parts += [text[before:start], word]
        before = end
    return "".join([*parts, text[before:]])


def _move(entity: Entity, new_offset: _OffsetMap, text: str) -> Entity:
    start, end = new_offset(entity.start), new_offset(entity.end)
    return replace(entity, start=start, end=end, text=text[start:end])
