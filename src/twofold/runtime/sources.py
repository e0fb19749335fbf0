"""The sources of posts besides their words, as states: regions of pictures, alternative texts.

Each source is read once for all posts that are read together, equal ones only once. A source that a post
does not have is None there; a picture that cannot be read is reported, never replaced. It does not know
fusions.

Shape letters: T word pieces, D width of text states, N elements of a source, V its width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.posts import PictureReport, Post
from twofold.runtime.folder import FolderConfig
from twofold.runtime.pictures import FeatureCache
from twofold.runtime.pieces import Pieces, pad
from twofold.runtime.regions import NO_PICTURE, Image, PictureReading, RegionReader
from twofold.runtime.sessions import Sessions

Floats = NDArray[np.float32]

_PIECES_A_ROW = 64
"""A batch of n rows holds at most n times as many pieces, padding included; a single row may be longer."""
_NOT_LOOKED_AT = PictureReading(PictureReport("none", "this model looks at no pictures"))


class PostSources(NamedTuple):
    """Sources of some posts.

    Attributes:
        pictures: what became of the picture of each post.
        states: for each source besides the text, states (N, V) of each post; None where it has none.
    """

    pictures: Sequence[PictureReport]
    states: Mapping[str, Sequence[NDArray[Any] | None]]

    def part(self, posts: Sequence[int], names: Collection[str]) -> PostSources:
        """Some sources of some of the posts."""
        kept = {name: [rows[i] for i in posts] for name, rows in self.states.items() if name in names}
        return PostSources([self.pictures[i] for i in posts], kept)


class SourceReader:
    """Reads all sources a model wants, besides the words.

    Args:
        sessions: the model's graphs.
        config: says which sources, and what the encoders take and give.
        pieces: the tokenizer.
        cache: where features of pictures are kept between runs; None to keep none.
    """

    def __init__(
        self, sessions: Sessions, config: FolderConfig, pieces: Pieces, cache: FeatureCache | None
    ) -> None:
        self._sessions, self._config, self._pieces = sessions, config, pieces
        self._regions = RegionReader(sessions, config.picture, cache) if config.picture else None

    def read(self, posts: Sequence[Post], batch_size: int, known: PostSources | None = None) -> PostSources:
        """Read the sources of posts, in order.

        Args:
            posts: some hundreds at a time.
            batch_size: texts in a batch, at most.
            known: sources of these posts that were read already and just as this model would.
        """
        known = known or PostSources([], {})
        states = dict(known.states)
        reports = known.pictures
        if "picture" not in states:
            pictures = self._pictures([post.image for post in posts])
            states["picture"], reports = [p.regions for p in pictures], [p.report for p in pictures]
        if "alt_text" in self._config.sources and "alt_text" not in states:
            states["alt_text"] = self._texts([post.alt_text for post in posts], batch_size)
        return PostSources(reports, {n: states[n] for n in self._config.sources[1:]})

    def width(self, source: str) -> int:
        """V of a source."""
        picture = self._config.picture
        return picture.width if source == "picture" and picture else self._config.text.width

    def _pictures(self, images: Sequence[Image | None]) -> list[PictureReading]:
        if self._regions is None:
            return [NO_PICTURE if image is None else _NOT_LOOKED_AT for image in images]
        return self._regions.read(images)

    def _texts(self, texts: Sequence[str | None], batch_size: int) -> list[Floats | None]:
        """States (T, D) of texts that the text encoder reads, each distinct one once; "" is no text."""
        distinct = list({text: None for text in texts if text})
        ids = [self._pieces.plain(text) for text in distinct]
        states: dict[str | None, Floats] = {}
        for batch in batches([len(row) for row in ids], batch_size):
            output = self._sessions.text(*pad([ids[i] for i in batch], self._pieces.pad_id))
            states |= {distinct[i]: row[: len(ids[i])].copy() for i, row in zip(batch, output, strict=True)}
        return [states.get(text) for text in texts]


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Positions of rows of like length, at most ``size`` together and bounded in pieces.

    Args:
        lengths: pieces of each row.
        size: rows in a batch, at most.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(batch) == size or lengths[i] * (len(batch) + 1) > size * _PIECES_A_ROW
        if batch and full:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def stack(rows: Sequence[NDArray[Any] | None], width: int) -> tuple[Floats, NDArray[np.bool_]]:
    """States (B, N, V) and mask (B, N) of a source; rows that do not have it are masked whole."""
    longest = max((len(row) for row in rows if row is not None), default=1)
    states = np.zeros((len(rows), longest, width), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        if row is not None:
            states[i, : len(row)], mask[i, : len(row)] = row, True
    return states, mask
