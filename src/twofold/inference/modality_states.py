"""The sources of posts besides their words, as states: regions and crops of pictures, texts about them.

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

from twofold.inference.image_features import NO_PICTURE, PictureReading, RegionReader
from twofold.inference.onnx_sessions import Sessions
from twofold.model_folder.config import FolderConfig, PictureInput
from twofold.posts import Image, PictureReport, Post
from twofold.preprocessing.crops import CropJob, CropReader
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.modalities import TEXTS, VISUAL, crop_boxes, pooled
from twofold.preprocessing.semantic_augmentation import SOURCE, Neighbours
from twofold.preprocessing.word_pieces import Pieces, pad

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
        neighbours: of words, for a model that wants them; here only posts that have any are told from
            others, since the states are those of the words of a window.
    """

    def __init__(
        self,
        sessions: Sessions,
        config: FolderConfig,
        pieces: Pieces,
        cache: FeatureCache | None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._sessions, self._config, self._pieces = sessions, config, pieces
        self._neighbours = neighbours
        self._regions, self._crops = None, None
        if config.picture:
            self._regions = RegionReader(sessions, config.picture, cache)
            self._crops = _CropSource(sessions, config.picture, cache)

    def read(self, posts: Sequence[Post], batch_size: int, known: PostSources | None = None) -> PostSources:
        """Read the sources of posts, in order.

        Args:
            posts: some hundreds at a time.
            batch_size: texts in a batch, at most.
            known: sources of these posts that were read already, just as this model would; another
                model borrows here what it has in common with a first (see network.py).
        """
        states = dict(known.states) if known else {}
        wanted = [name for name in self._config.sources[1:] if name not in states]
        look = known is None or any(name in VISUAL for name in wanted)
        pictures = self._pictures([post.image for post in posts]) if look else []
        states |= {name: self._source(name, posts, pictures, batch_size) for name in wanted}
        reports = [p.report for p in pictures] if look or known is None else known.pictures
        return PostSources(reports, {name: states[name] for name in self._config.sources[1:]})

    def width(self, source: str) -> int:
        """V of a source."""
        picture = self._config.picture
        return picture.width if source in VISUAL and picture else self._config.text.width

    def _source(
        self, name: str, posts: Sequence[Post], pictures: Sequence[PictureReading], batch_size: int
    ) -> Sequence[NDArray[Any] | None]:
        if self._neighbours is not None and name == SOURCE:
            return self._neighbours.of_posts(posts)
        if name in TEXTS:
            return self._texts([TEXTS[name](post) for post in posts], batch_size)
        if name == "crops" and self._crops is not None:
            return self._crops.read(posts, pictures)
        regions = [picture.regions for picture in pictures]
        return [None if x is None else pooled(x)[None] for x in regions] if name == "whole" else regions

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


class _CropSource:
    """Crops of the pictures that were read."""

    def __init__(self, sessions: Sessions, expected: PictureInput, cache: FeatureCache | None) -> None:
        self._most = expected.crops
        self._reader = CropReader(sessions.picture, expected.settings, expected.width, cache)

    def read(
        self, posts: Sequence[Post], pictures: Sequence[PictureReading]
    ) -> list[NDArray[np.float16] | None]:
        return self._reader.read(
            [self._job(post, picture) for post, picture in zip(posts, pictures, strict=True)]
        )

    def _job(self, post: Post, picture: PictureReading) -> CropJob | None:
        if post.image is None or picture.regions is None:
            return None
        return CropJob(picture.key, post.image, crop_boxes(post, self._most))


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
