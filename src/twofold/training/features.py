"""Features of pictures, computed once: the backbone is frozen.

The same picture under many names is encoded once (by content hash), and kept on disk under the
encoder's fingerprint. Unreadable pictures are named, never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.encoders.image import ImageEncoder
from twofold.errors import PictureError
from twofold.posts import Post
from twofold.runtime.pictures import FeatureCache, content_hash, read_picture
from twofold.training.examples import Features, Table

Image = Path | bytes


def picture_features(
    posts: Sequence[Post],
    encoder: ImageEncoder,
    cache: FeatureCache,
    device: torch.device,
    tell: Callable[[str], None],
) -> Features:
    """Encode the pictures of all posts.

    Args:
        posts: whose pictures are read.
        encoder: frozen picture encoder.
        cache: where features are kept between runs.
        device: where the encoder runs.
        tell: gets a line of progress now and then.
    """
    distinct: dict[str, Image] = {}
    keys: list[str | None] = []
    unreadable: list[str] = []
    for post in posts:
        keys.append(_key(post, distinct, unreadable))
    _encode_missing(distinct, encoder, cache, device, tell)
    table = np.zeros((len(distinct), encoder.regions, encoder.width), np.float16)
    row_of: dict[str, int] = {}
    for key in distinct:
        features = cache.get(key)
        if features is not None:
            table[len(row_of)] = features
            row_of[key] = len(row_of)
    rows = [-1 if key is None else row_of.get(key, -1) for key in keys]
    for post, name in zip(posts, keys, strict=True):
        if name is not None and name not in row_of:
            unreadable.append(f"{post.id}: {_why(distinct[name], encoder)}")
    found = table[: len(row_of)]
    return Features(Table(found, np.full(len(found), encoder.regions)), rows, unreadable)


def no_features(posts: Sequence[Post]) -> Features:
    """Features of a model that looks at no picture."""
    nothing = Table(np.zeros((0, 1, 1), np.float16), np.zeros(0, np.int64))
    return Features(nothing, [-1] * len(posts), [])


def _key(post: Post, distinct: dict[str, Image], unreadable: list[str]) -> str | None:
    if post.image is None:
        return None
    try:
        key = content_hash(post.image)
    except PictureError as error:
        unreadable.append(f"{post.id}: {error}")
        return None
    distinct.setdefault(key, post.image)
    return key


def _encode_missing(
    distinct: dict[str, Image],
    encoder: ImageEncoder,
    cache: FeatureCache,
    device: torch.device,
    tell: Callable[[str], None],
) -> None:
    missing = [key for key in distinct if cache.get(key) is None]
    encoder = encoder.to(device)
    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, len(missing), 64):
            keys = missing[begin : begin + 64]
            read = list(pool.map(lambda key: _pixels(distinct[key], encoder), keys))
            good = [(key, x) for key, x in zip(keys, read, strict=True) if x is not None]
            if good:
                _encode(good, encoder, cache, device)
            tell(f"pictures encoded: {begin + len(keys)} of {len(missing)}")


def _pixels(image: Image, encoder: ImageEncoder) -> NDArray[np.float32] | None:
    try:
        return read_picture(image, encoder.settings)[0]
    except PictureError:
        return None  # told by `picture_features`, with the posts that name it


def _why(image: Image, encoder: ImageEncoder) -> str:
    try:
        read_picture(image, encoder.settings)
    except PictureError as error:
        return str(error)
    return "its features were lost from the cache"


@torch.inference_mode()
def _encode(
    good: list[tuple[str, NDArray[np.float32]]],
    encoder: ImageEncoder,
    cache: FeatureCache,
    device: torch.device,
) -> None:
    pixels = torch.from_numpy(np.stack([x for _, x in good])).to(device)
    for (key, _), features in zip(good, encoder(pixels).half().cpu().numpy(), strict=True):
        cache.put(key, features)
