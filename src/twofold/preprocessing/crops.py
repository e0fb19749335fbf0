"""Vectors of crops of pictures: cropped, encoded like pictures, mean-pooled; equal crops only once.

Training passes in its picture encoder, inference the exported graph; the rest is shared. A picture that
cannot be read has no crops. It does not know posts.

Shape letters: C crops, R regions, V their width, S side of the encoder's input.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import PictureError
from twofold.posts import Image
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.images import PictureSettings, read_crops
from twofold.preprocessing.modalities import Box, pooled

Pixels = NDArray[np.float32]
Crops = NDArray[np.float16]

_BATCH_SIZE = 8
_THREADS = min(4, os.cpu_count() or 1)


class CropRequest(NamedTuple):
    """Crops to encode.

    Attributes:
        content: hash of the picture's content.
        image: the picture.
        boxes: C boxes.
    """

    content: str
    image: Image
    boxes: tuple[Box, ...]

    @property
    def key(self) -> str:
        """A hash of picture and boxes."""
        return hashlib.sha256(f"{self.content} {self.boxes!r}".encode()).hexdigest()


class CropEncoder:
    """The picture encoder, applied to crops.

    Args:
        encode: pixels (C, 3, S, S) to regions (C, R, V).
        settings: how pictures are prepared.
        width: V.
        cache: keeps vectors between runs; None for no cache.
    """

    def __init__(
        self,
        encode: Callable[[Pixels], NDArray[np.floating]],
        settings: PictureSettings,
        width: int,
        cache: FeatureCache | None,
    ) -> None:
        self._encode, self._settings, self._width, self._cache = encode, settings, width, cache

    def encode(self, requests: Sequence[CropRequest | None]) -> list[Crops | None]:
        """Vectors (C, V) of each request, in order; None for no request or an unreadable picture."""
        keys = [None if request is None else request.key for request in requests]
        distinct = {
            key: request
            for key, request in zip(keys, requests, strict=True)
            if key and request and request.boxes
        }
        known = self._cached(distinct)
        known |= self._encoded({key: request for key, request in distinct.items() if key not in known})
        return [known.get(key) if key else None for key in keys]

    def _cached(self, requests: Mapping[str, CropRequest]) -> dict[str, Crops]:
        if self._cache is None:
            return {}
        found = {key: self._cache.get(key) for key in requests}
        return {
            key: crops
            for key, crops in found.items()
            if crops is not None and crops.shape == (len(requests[key].boxes), self._width)
        }

    def _encoded(self, requests: Mapping[str, CropRequest]) -> dict[str, Crops]:
        crops: dict[str, Crops] = {}
        if not requests:
            return crops
        with ThreadPoolExecutor(_THREADS) as pool:
            for keys in _batches(list(requests)):
                read = pool.map(lambda key: self._pixels(requests[key]), keys)
                readable = [
                    (key, pixels) for key, pixels in zip(keys, read, strict=True) if pixels is not None
                ]
                if readable:
                    crops |= self._pooled(readable)
        return crops

    def _pixels(self, request: CropRequest) -> Pixels | None:
        try:
            return read_crops(request.image, request.boxes, self._settings)
        except PictureError:
            return None  # reported where the whole picture is read

    def _pooled(self, readable_crops: Sequence[tuple[str, Pixels]]) -> dict[str, Crops]:
        regions = self._encode(np.concatenate([pixels for _, pixels in readable_crops]))  # (ΣC, R, V)
        half = np.clip(regions, -65504, 65504).astype(np.float16)
        vectors = np.stack([pooled(crop) for crop in half])
        ends = np.cumsum([len(pixels) for _, pixels in readable_crops])[:-1]
        crops = {key: part for (key, _), part in zip(readable_crops, np.split(vectors, ends), strict=True)}
        if self._cache is not None:
            for key, part in crops.items():
                self._cache.put(key, part)
        return crops


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(keys), _BATCH_SIZE):
        yield keys[begin : begin + _BATCH_SIZE]
