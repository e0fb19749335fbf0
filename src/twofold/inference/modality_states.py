"""States of the posts' modalities besides their words: regions and crops of pictures, texts about them.

Each modality is encoded once for all posts of a batch, and equal contents only once. A modality that a post
does not have is None; a picture that cannot be read is reported, never replaced. It does not know fusions.

Shape letters: T word pieces, D width of text states, N elements of a modality, V its width.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.inference.image_features import NO_PICTURE, EncodedPicture, PictureEncoder
from twofold.inference.onnx_sessions import Sessions
from twofold.inference.workers import Workers
from twofold.model_folder.config import FolderConfig, PictureInput
from twofold.posts import Image, PictureReport, Post
from twofold.preprocessing.crops import CropEncoder, CropRequest
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.modalities import TEXTS, VISUAL, crop_boxes, pooled
from twofold.preprocessing.semantic_augmentation import MODALITY, Neighbours
from twofold.preprocessing.word_pieces import WindowTokenizer, pad

Floats = NDArray[np.float32]

_PIECES_PER_ROW = 64
"""A batch of at most n rows has at most n times this many pieces, padding included; one row may be longer."""
_EQUAL_PIECES_PER_ROW = 16
"""The same for rows of equal length: their states then stay in the cache of a core."""
_PICTURE_NOT_USED = EncodedPicture(PictureReport("none", "this model does not use pictures"))


WordStates = dict[tuple[int, ...], Floats]
"""States (W, D) of the words of windows, by the pieces of the window."""


class ModalityStates(NamedTuple):
    """States of the modalities of some posts.

    Attributes:
        pictures: of each post, whether its picture was read.
        states: for each modality besides the text, states (N, V) of each post; None where it has none.
        words: states of the words of windows that were encoded; None where they are not kept.
    """

    pictures: Sequence[PictureReport]
    states: Mapping[str, Sequence[NDArray[Any] | None]]
    words: WordStates | None = None

    def subset(self, posts: Sequence[int], modalities: Collection[str]) -> ModalityStates:
        """The states of some posts in some modalities."""
        states = {name: [rows[i] for i in posts] for name, rows in self.states.items() if name in modalities}
        return ModalityStates([self.pictures[i] for i in posts], states, self.words)

    def present(self, post: int) -> tuple[bool, ...]:
        """True for each of the M modalities that a post has; the text always."""
        return (True, *(states[post] is not None for states in self.states.values()))


class ModalityEncoder:
    """Encodes all modalities that a model uses, besides the words.

    Args:
        sessions: the model's graphs.
        config: names the modalities, and the inputs and outputs of their encoders.
        tokenizer: of the text encoder.
        cache: keeps picture features between runs; None for no cache.
        neighbours: nearest neighbours of words, for a model that uses them. Their states belong to the words
            of a window; here they only show which posts have any.
        workers: run the batches; None for the caller's thread.
    """

    def __init__(
        self,
        sessions: Sessions,
        config: FolderConfig,
        tokenizer: WindowTokenizer,
        cache: FeatureCache | None,
        neighbours: Neighbours | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._sessions, self._config, self._tokenizer = sessions, config, tokenizer
        self._workers = workers or Workers(1)
        self._neighbours = neighbours
        self._picture_encoder, self._crops = None, None
        if config.picture:
            self._picture_encoder = PictureEncoder(sessions, config.picture, cache, self._workers)
            self._crops = _PostCropEncoder(sessions, config.picture, cache)

    def encode(
        self, posts: Sequence[Post], batch_size: int, encoded: ModalityStates | None = None
    ) -> ModalityStates:
        """Encode the modalities of posts, in order.

        Args:
            posts: a few hundred at a time.
            batch_size: texts in a batch, at most.
            encoded: modalities of these posts that a model with the same encoder encoded already
                (see network.py).
        """
        states = dict(encoded.states) if encoded else {}
        missing = [name for name in self._config.modalities[1:] if name not in states]
        need_pictures = encoded is None or any(name in VISUAL for name in missing)
        pictures = self._pictures([post.image for post in posts]) if need_pictures else []
        states |= {name: self._states(name, posts, pictures, batch_size) for name in missing}
        reports = [p.report for p in pictures] if need_pictures or encoded is None else encoded.pictures
        words = encoded.words if encoded else None
        return ModalityStates(reports, {name: states[name] for name in self._config.modalities[1:]}, words)

    def width(self, modality: str) -> int:
        """Width V of a modality."""
        picture = self._config.picture
        return picture.hidden_size if modality in VISUAL and picture else self._config.text.hidden_size

    def _states(
        self, modality: str, posts: Sequence[Post], pictures: Sequence[EncodedPicture], batch_size: int
    ) -> Sequence[NDArray[Any] | None]:
        if self._neighbours is not None and modality == MODALITY:
            return self._neighbours.of_posts(posts)
        if modality in TEXTS:
            return self._texts([TEXTS[modality](post) for post in posts], batch_size)
        if modality == "crops" and self._crops is not None:
            return self._crops.encode(posts, pictures)
        regions = [picture.regions for picture in pictures]
        if modality == "whole":
            return [None if x is None else pooled(x)[None] for x in regions]
        return regions

    def _pictures(self, images: Sequence[Image | None]) -> list[EncodedPicture]:
        if self._picture_encoder is None:
            return [NO_PICTURE if image is None else _PICTURE_NOT_USED for image in images]
        return self._picture_encoder.encode(images)

    def _texts(self, texts: Sequence[str | None], batch_size: int) -> list[Floats | None]:
        """States (T, D) of texts by the text encoder, each distinct one encoded once; "" counts as none."""
        distinct = list({text: None for text in texts if text})
        ids = [self._tokenizer.encode_text(text) for text in distinct]
        states: dict[str | None, Floats] = {}
        order = list(batches([len(row) for row in ids], batch_size, self._config.text.equal_lengths))

        def encode(batch: Sequence[int]) -> Floats:
            return self._sessions.text(*pad([ids[i] for i in batch], self._tokenizer.pad_id))

        for batch, output in zip(order, self._workers.map(encode, order), strict=True):
            states |= {distinct[i]: row[: len(ids[i])].copy() for i, row in zip(batch, output, strict=True)}
        return [states.get(text) for text in texts]


class _PostCropEncoder:
    """Encodes crops of the pictures that were read."""

    def __init__(self, sessions: Sessions, expected: PictureInput, cache: FeatureCache | None) -> None:
        self._max_crops = expected.max_crops
        self._encoder = CropEncoder(sessions.picture, expected.settings, expected.hidden_size, cache)

    def encode(
        self, posts: Sequence[Post], pictures: Sequence[EncodedPicture]
    ) -> list[NDArray[np.float16] | None]:
        return self._encoder.encode(
            [self._request(post, picture) for post, picture in zip(posts, pictures, strict=True)]
        )

    def _request(self, post: Post, picture: EncodedPicture) -> CropRequest | None:
        if post.image is None or picture.regions is None:
            return None
        return CropRequest(picture.key, post.image, crop_boxes(post, self._max_crops))


def batches(lengths: Sequence[int], size: int, equal: bool = False) -> Iterator[list[int]]:
    """Indices of rows in batches of similar length, at most ``size`` rows and bounded in pieces.

    Args:
        lengths: number of pieces of each row.
        size: rows in a batch, at most.
        equal: whether only rows of equal length may share a batch.
    """
    max_pieces = size * (_EQUAL_PIECES_PER_ROW if equal else _PIECES_PER_ROW)
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(batch) == size or lengths[i] * (len(batch) + 1) > max_pieces
        if batch and (full or (equal and lengths[i] != lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def stack(rows: Sequence[NDArray[Any] | None], width: int) -> tuple[Floats, NDArray[np.bool_]]:
    """States (B, N, V) and mask (B, N) of a modality; rows without it are fully masked."""
    longest = max((len(row) for row in rows if row is not None), default=1)
    states = np.zeros((len(rows), longest, width), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        if row is not None:
            states[i, : len(row)], mask[i, : len(row)] = row, True
    return states, mask
