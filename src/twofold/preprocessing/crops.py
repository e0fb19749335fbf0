"""Crops of pictures as vectors: cut out, encoded as a picture is, pooled; equal ones once.

Training hands in the encoder it trains beside, use the exported graph; all else is the same code. A
picture that cannot be read has no crops. It does not know posts.

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

_PICTURES_AT_ONCE = 8
_THREADS = min(4, os.cpu_count() or 1)


class CropRequest(NamedTuple):
    """What to cut.

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
        """Names picture and boxes."""
        return hashlib.sha256(f"{self.content} {self.boxes!r}".encode()).hexdigest()


class CropEncoder:
    """The picture encoder over crops.

    Args:
        encode: pixels (C, 3, S, S) to regions (C, R, V).
        settings: how pictures must be prepared.
        width: V.
        cache: where vectors are kept between runs; None to keep none.
    """

    def __init__(
        self,
        encode: Callable[[Pixels], NDArray[np.floating]],
        settings: PictureSettings,
        width: int,
        cache: FeatureCache | None,
    ) -> None:
        self._encode, self._settings, self._width, self._cache = encode, settings, width, cache

    def encode(self, jobs: Sequence[CropRequest | None]) -> list[Crops | None]:
        """Vectors (C, V) of each job, in order; None where there is none or the picture is broken."""
        keys = [None if job is None else job.key for job in jobs]
        distinct = {key: job for key, job in zip(keys, jobs, strict=True) if key and job and job.boxes}
        known = self._cached(distinct)
        known |= self._encoded({key: job for key, job in distinct.items() if key not in known})
        return [known.get(key) if key else None for key in keys]

    def _cached(self, jobs: Mapping[str, CropRequest]) -> dict[str, Crops]:
        if self._cache is None:
            return {}
        found = {key: self._cache.get(key) for key in jobs}
        return {
            key: crops
            for key, crops in found.items()
            if crops is not None and crops.shape == (len(jobs[key].boxes), self._width)
        }

    def _encoded(self, jobs: Mapping[str, CropRequest]) -> dict[str, Crops]:
        crops: dict[str, Crops] = {}
        if not jobs:
            return crops
        with ThreadPoolExecutor(_THREADS) as pool:
            for keys in _groups(list(jobs)):
                read = pool.map(lambda key: self._cut(jobs[key]), keys)
                good = [(key, pixels) for key, pixels in zip(keys, read, strict=True) if pixels is not None]
                if good:
                    crops |= self._pooled(good)
        return crops

    def _cut(self, job: CropRequest) -> Pixels | None:
        try:
            return read_crops(job.image, job.boxes, self._settings)
        except PictureError:
            return None  # reported by those who read the whole picture

    def _pooled(self, cut: Sequence[tuple[str, Pixels]]) -> dict[str, Crops]:
        regions = self._encode(np.concatenate([pixels for _, pixels in cut]))  # (ΣC, R, V)
        half = np.clip(regions, -65504, 65504).astype(np.float16)
        vectors = np.stack([pooled(crop) for crop in half])
        ends = np.cumsum([len(pixels) for _, pixels in cut])[:-1]
        crops = {key: part for (key, _), part in zip(cut, np.split(vectors, ends), strict=True)}
        if self._cache is not None:
            for key, part in crops.items():
                self._cache.put(key, part)
        return crops


def _groups(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(keys), _PICTURES_AT_ONCE):
        yield keys[begin : begin + _PICTURES_AT_ONCE]
