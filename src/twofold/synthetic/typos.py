"""Posts with mistyped words: the same post, some words wrong by one slip of the fingers.

A slip exchanges two neighbouring letters, leaves one out, doubles one, or strikes a key beside it (QWERTY).
The first letter stays, as it mostly does in what people mistype, and so do words of fewer than `LEAST`
characters, links, and words that hold no letter of a to z. Which words and which slip follow from the seed
and the post's text alone, whatever its neighbours in the file. Gold spans move with their words; regions and
pictures stay.

Shape letters: W words.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from twofold.posts import Entity, Post
from twofold.preprocessing.segmentation import Span, segment_post, surface

LEAST = 4
RATE = 0.2
"""Part of the words that can be mistyped which are, unless told."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {
    key: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _ROWS for i, key in enumerate(row)
}  # fmt: skip

Slip = Callable[[str, int, Random], str]


def mistyped(post: Post, rate: float = RATE, seed: int = 0) -> Post:
    """The post with slips in it.

    Args:
        post: any; relations are left out of the new one.
        rate: chance of each word that can be mistyped, in [0, 1].
        seed: another one gives other slips.
    """
    random = Random(hashlib.sha256(f"{seed} {post.text}".encode("utf-8", "surrogatepass")).digest())
    words = segment_post(post)
    new = [_word(post.text[start:end], rate, random) for start, end in words]
    moved = _Moved(words, new)
    text = _joined(post.text, words, new)
    tokens = None if post.tokens is None else tuple((moved(a), moved(b)) for a, b in post.tokens)
    entities = None
    if post.entities is not None:
        entities = tuple(_shifted(entity, moved, text) for entity in post.entities)
    return replace(post, text=text, tokens=tokens, entities=entities, relations=None)


def _word(word: str, rate: float, random: Random) -> str:
    places = [i for i in range(1, len(word)) if word[i].lower() in _BESIDE]
    if len(word) < LEAST or not places or surface(word) == "http" or random.random() >= rate:
        return word
    return random.choice(_SLIPS)(word, random.choice(places), random)


def _exchanged(word: str, i: int, random: Random) -> str:
    """With its neighbour; where the two are equal, one is left out instead, so that the word does change."""
    a, b = (i - 1, i) if i > 1 else (i, i + 1)
    if word[a] == word[b]:
        return _left_out(word, i, random)
    return word[:a] + word[b] + word[a] + word[b + 1 :]


def _left_out(word: str, i: int, random: Random) -> str:
    return word[:i] + word[i + 1 :]


def _doubled(word: str, i: int, random: Random) -> str:
    return word[:i] + word[i] + word[i:]


def _beside(word: str, i: int, random: Random) -> str:
    key = random.choice(_BESIDE[word[i].lower()])
    return word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :]


_SLIPS: tuple[Slip, ...] = (_exchanged, _left_out, _doubled, _beside)


class _Moved:
    """Where a place of the old text is in the new one; inside a word that became shorter, not past its end.

    Args:
        words: W old places.
        new: what stands there now.
    """

    def __init__(self, words: Sequence[Span], new: Sequence[str]) -> None:
        self._words, self._lengths = words, [len(word) for word in new]
        self._starts = [start for start, _ in words]
        self._gained = [0]
        for (start, end), length in zip(words, self._lengths, strict=True):
            self._gained.append(self._gained[-1] + length - (end - start))

    def __call__(self, place: int) -> int:
        number = bisect_right(self._starts, place) - 1  # the word that begins last up to here
        if number < 0:
            return place
        start, end = self._words[number]
        if place >= end:
            return place + self._gained[number + 1]
        return start + self._gained[number] + min(place - start, self._lengths[number])


def _joined(text: str, words: Sequence[Span], new: Sequence[str]) -> str:
    parts, before = [], 0
    for (start, end), word in zip(words, new, strict=True):
        parts += [text[before:start], word]
        before = end
    return "".join([*parts, text[before:]])


def _shifted(entity: Entity, moved: _Moved, text: str) -> Entity:
    start, end = moved(entity.start), moved(entity.end)
    return replace(entity, start=start, end=end, text=text[start:end])
