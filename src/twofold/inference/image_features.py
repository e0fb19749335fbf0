"""Region features of pictures: each distinct picture decoded and encoded once, in threads.

A picture that cannot be read is reported with its reason, never replaced. It does not know text.

Shape letters: R regions, V their width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import PictureError
from twofold.inference.onnx_sessions import Sessions
from twofold.inference.workers import Workers
from twofold.model_folder.config import PictureInput
from twofold.posts import Image, PictureReport
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.images import read_picture
from twofold.preprocessing.picture_files import content_hash

Pixels = NDArray[np.float32]
Regions = NDArray[np.float16]

_BATCH_SIZE = 4
"""Pictures in a batch: more do not fit into the cache of a core."""


class EncodedPicture(NamedTuple):
    """The picture of one post, encoded.

    Attributes:
        report: whether it was read, and why where it was not.
        regions: (R, V) float16, the precision of the cache, so that a cache changes no result; None
            unless the picture was read.
        key: hash of the picture's content; "" unless it was read.
    """

    report: PictureReport
    regions: Regions | None = None
    key: str = ""


NO_PICTURE = EncodedPicture(PictureReport("none"))


class _Decoded(NamedTuple):
    key: str
    pixels: Pixels
    warning: str


class PictureEncoder:
    """The picture encoder.

    Args:
        sessions: the model's graphs.
        expected: input and output of the encoder.
        cache: keeps features between runs; None for no cache.
        workers: decode and encode.
    """

    def __init__(
        self, sessions: Sessions, expected: PictureInput, cache: FeatureCache | None, workers: Workers
    ) -> None:
        self._sessions, self._expected, self._cache = sessions, expected, cache
        self._workers = workers

    def encode(self, images: Sequence[Image | None]) -> list[EncodedPicture]:
        """Encode the pictures of some posts, in order; each distinct content once."""
        if all(image is None for image in images):
            return [NO_PICTURE] * len(images)
        keys = list(self._workers.map(_key_or_error, images))
        distinct: dict[str, Image] = {}
        for key, image in zip(keys, images, strict=True):
            if isinstance(key, str) and image is not None:
                distinct.setdefault(key, image)
        encoded = self._cached(distinct)
        missing = [(key, image) for key, image in distinct.items() if key not in encoded]
        chunks = (missing[i : i + _BATCH_SIZE] for i in range(0, len(missing), _BATCH_SIZE))
        for part in self._workers.map(self._encoded, chunks):
            encoded |= part
        return [encoded[key] if isinstance(key, str) else key for key in keys]

    def _cached(self, keys: Mapping[str, Image]) -> dict[str, EncodedPicture]:
        if self._cache is None:
            return {}
        found = {key: self._cache.get(key) for key in keys}
        shape = (self._expected.regions, self._expected.hidden_size)
        return {
            key: EncodedPicture(PictureReport("read"), regions, key)
            for key, regions in found.items()
            if regions is not None and regions.shape == shape
        }

    def _encoded(self, images: Sequence[tuple[str, Image]]) -> dict[str, EncodedPicture]:
        read = [(key, self._decode(key, image)) for key, image in images]
        unreadable = {key: item for key, item in read if isinstance(item, EncodedPicture)}
        return unreadable | self._encode([item for _, item in read if isinstance(item, _Decoded)])

    def _decode(self, key: str, image: Image) -> _Decoded | EncodedPicture:
        try:
            return _Decoded(key, *read_picture(image, self._expected.settings))
        except PictureError as error:
            return _unreadable(error)

    def _encode(self, batch: Sequence[_Decoded]) -> dict[str, EncodedPicture]:
        if not batch:
            return {}
        regions = self._sessions.picture(np.stack([item.pixels for item in batch]))
        half = np.clip(regions, -65504, 65504).astype(np.float16)  # (B, R, V)
        for item, features in zip(batch, half, strict=True):
            # A picture with a warning is not cached: the next run would lose the warning.
            if self._cache is not None and not item.warning:
                self._cache.put(item.key, features)
        return {
            item.key: EncodedPicture(PictureReport("read", item.warning), features, item.key)
            for item, features in zip(batch, half, strict=True)
        }


def _key_or_error(image: Image | None) -> str | EncodedPicture:
    if image is None:
        return NO_PICTURE
    try:
        return content_hash(image)
    except PictureError as error:
        return _unreadable(error)


def _unreadable(error: PictureError) -> EncodedPicture:
    reason = str(PictureError(error.what, do=error.do))
    return EncodedPicture(PictureReport("unreadable", reason))
