"""Features of pictures, computed once: the backbone is frozen.

The same picture under many names is encoded once (by content hash), and so are the same crops of it;
features are cached on disk under the encoder's fingerprint. Unreadable pictures are reported, never replaced.

Shapes: P distinct pictures, R regions, V their width, C crops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twofold.encoders.image import ImageEncoder
from twofold.errors import DataError, PictureError
from twofold.posts import Image, Post
from twofold.preprocessing.blank_pictures import BLANK_COLOURS, blank
from twofold.preprocessing.crops import CropEncoder, CropRequest
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.images import read_picture
from twofold.preprocessing.modalities import VISUAL, crop_boxes, pooled
from twofold.preprocessing.picture_files import content_hash
from twofold.training.examples import Features, FeatureTable

Half = NDArray[np.float16]
Key = str
"""Content hash of a picture."""

_BATCH_SIZE = 64


def cache_folder() -> Path:
    """Where features are kept between runs: ``TWOFOLD_CACHE``, else the user's cache folder."""
    base = os.environ.get("TWOFOLD_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "twofold" if base else Path.home() / ".cache" / "twofold"


class PictureFeatureExtractor:
    """Computes features of the pictures of a training with a frozen picture encoder.

    Args:
        encoder: moved to the device.
        cache: where features are kept between runs.
        device: where the encoder runs.
        log: called with a line of progress now and then.
        max_crops: largest number of crops of a picture.
    """

    def __init__(
        self,
        encoder: ImageEncoder,
        cache: FeatureCache,
        device: torch.device,
        log: Callable[[str], None],
        max_crops: int = 4,
    ) -> None:
        self.encoder, self.cache, self.device, self.log = encoder.to(device), cache, device, log
        self.max_crops = max_crops

    def features(self, posts: Sequence[Post], modalities: Sequence[str]) -> Features:
        """Features of the pictures of all posts.

        Args:
            posts: whose pictures are read.
            modalities: those of the model; each that the picture encoder encodes gets a table.
        """
        distinct: dict[Key, Image] = {}
        unreadable: list[str] = []
        keys = [_key(post, distinct, unreadable) for post in posts]
        broken = self._encode_missing(distinct)  # always: it finds the pictures that cannot be read
        unreadable += [
            f"{post.id}: {broken[key]}" for post, key in zip(posts, keys, strict=True) if key in broken
        ]
        keys = [None if key in broken else key for key in keys]
        tables: dict[str, FeatureTable] = {}
        rows: list[dict[str, int]] = [{} for _ in posts]
        for name in modalities:
            if name in VISUAL:
                tables[name], numbers = self._modality(name, posts, keys)
                for row, number in zip(rows, numbers, strict=True):
                    row |= {name: number} if number >= 0 else {}
        return Features(tables, list(rows), unreadable)

    def blank_features(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        """Features (C, N, V) of C blank pictures, each of one colour, by modality."""
        posts = [Post(f"blank {colour}", "", image=blank(colour)) for colour in BLANK_COLOURS]
        tables = self.features(posts, modalities).tables
        return {name: torch.from_numpy(table.states.astype(np.float32)) for name, table in tables.items()}

    def _modality(
        self, name: str, posts: Sequence[Post], keys: Sequence[Key | None]
    ) -> tuple[FeatureTable, list[int]]:
        """Table of a modality, and each post's row in it, −1 for none."""
        if name == "crops":
            return self._crops(posts, keys)
        number = {key: i for i, key in enumerate(dict.fromkeys(key for key in keys if key is not None))}
        elements = 1 if name == "whole" else self.encoder.regions
        table = np.zeros((len(number), elements, self.encoder.width), np.float16)
        for key, row in number.items():
            regions = self._cached(key)
            table[row] = pooled(regions) if name == "whole" else regions
        return FeatureTable(table, np.full(len(table), elements)), [number[k] if k else -1 for k in keys]

    def _cached(self, key: Key) -> Half:
        regions = self.cache.get(key)
        if regions is None:
            raise DataError("the cached features of a picture disappeared", where=key, do="try again")
        return regions

    def _crops(self, posts: Sequence[Post], keys: Sequence[Key | None]) -> tuple[FeatureTable, list[int]]:
        requests = [
            CropRequest(key, post.image, crop_boxes(post, self.max_crops)) if key and post.image else None
            for post, key in zip(posts, keys, strict=True)
        ]
        crops: dict[str, Half] = {}
        encoder = CropEncoder(self._encoded, self.encoder.settings, self.encoder.width, self.cache)
        distinct = list({request.key: request for request in requests if request}.values())
        for begin in range(0, len(distinct), _BATCH_SIZE):
            part = distinct[begin : begin + _BATCH_SIZE]
            for request, vectors in zip(part, encoder.encode(part), strict=True):
                crops |= {request.key: vectors} if vectors is not None else {}
            self.log(f"pictures encoded: crops of {begin + len(part)} of {len(distinct)}")
        number = {key: i for i, key in enumerate(crops)}
        rows = [number.get(request.key, -1) if request else -1 for request in requests]
        return _table(list(crops.values()), self.encoder.width), rows

    def _encode_missing(self, distinct: Mapping[Key, Image]) -> dict[Key, str]:
        """Encode every picture that is not in the cache; returns why some cannot be read."""
        missing = [key for key in distinct if self.cache.get(key) is None]
        broken: dict[Key, str] = {}
        with ThreadPoolExecutor(2) as pool:
            for begin in range(0, len(missing), _BATCH_SIZE):
                keys = missing[begin : begin + _BATCH_SIZE]
                good: dict[Key, NDArray[np.float32]] = {}
                for key, read in zip(keys, pool.map(lambda k: self._pixels(distinct[k]), keys), strict=True):
                    if isinstance(read, str):
                        broken[key] = read
                    else:
                        good[key] = read
                self._put(good)
                self.log(f"pictures encoded: {begin + len(keys)} of {len(missing)}")
        return broken

    def _put(self, pixels: Mapping[Key, NDArray[np.float32]]) -> None:
        if pixels:
            encoded = self._encoded(np.stack(list(pixels.values())))
            for key, regions in zip(pixels, encoded, strict=True):
                self.cache.put(key, regions)

    def _pixels(self, image: Image) -> NDArray[np.float32] | str:
        """Pixels (3, S, S), or the reason why the picture cannot be read."""
        try:
            return read_picture(image, self.encoder.settings)[0]
        except PictureError as error:
            return str(error)

    @torch.inference_mode()
    def _encoded(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Regions (B, R, V) of pixels (B, 3, S, S)."""
        regions: NDArray[np.float32] = self.encoder(torch.from_numpy(pixels).to(self.device)).cpu().numpy()
        return regions


def no_features(posts: Sequence[Post]) -> Features:
    """Features of a model without pictures."""
    return Features({}, [{} for _ in posts], [])


def _table(rows: Sequence[Half], width: int) -> FeatureTable:
    """Rows (C, V) of different lengths in one table."""
    counts = np.array([len(row) for row in rows], np.int64)
    states = np.zeros((len(rows), int(counts.max(initial=1)), width), np.float16)
    for state, row in zip(states, rows, strict=True):
        state[: len(row)] = row
    return FeatureTable(states, counts)


def _key(post: Post, distinct: dict[Key, Image], unreadable: list[str]) -> Key | None:
    if post.image is None:
        return None
    try:
        key = content_hash(post.image)
    except PictureError as error:
        unreadable.append(f"{post.id}: {error}")
        return None
    distinct.setdefault(key, post.image)
    return key
