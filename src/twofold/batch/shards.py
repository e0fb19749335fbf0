"""Splits the rows of the input into shards, the same ones in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from twofold.batch.inputs import Rows
from twofold.posts import Post, Rejected

_BYTES = 64 * 1024 * 1024
"""A shard ends once its texts and pictures are larger than this, even if it has few rows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive rows of the input.

    Attributes:
        number: counted from 0.
        first: number of its first row, counted from 0 over all files.
        items: the rows in order, at least one.
        digest: hash of their content, without that of picture files.
        position: bytes of the input read up to the end of the shard.
    """

    number: int
    first: int
    items: tuple[Post | Rejected, ...]
    digest: str
    position: int


def cut(rows: Rows, size: int) -> Iterator[Shard]:
    """Shards of at most ``size`` rows."""
    items: list[Post | Rejected] = []
    number = first = n_bytes = 0
    digest = hashlib.blake2b(digest_size=16)
    for item in rows:
        items.append(item)
        n_bytes += _update(digest, item)
        if len(items) == size or n_bytes > _BYTES:
            yield Shard(number, first, tuple(items), digest.hexdigest(), rows.position)
            number, first, n_bytes = number + 1, first + len(items), 0
            items, digest = [], hashlib.blake2b(digest_size=16)
    if items:
        yield Shard(number, first, tuple(items), digest.hexdigest(), rows.position)


def _update(digest: hashlib.blake2b, item: Post | Rejected) -> int:
    """Add a row to a digest; return its approximate size in bytes."""
    if isinstance(item, Rejected):
        fields: tuple[object, ...] = ("rejected", item.raw)
        picture = b""
    else:
        image = item.image
        picture = image if isinstance(image, bytes) else str(image).encode("utf-8", "surrogateescape")
        fields = (
            item.id, item.text, item.alt_text, item.tokens, item.entities, item.relations, item.regions,
            dict(item.carried),
        )  # fmt: skip
    data = repr(fields).encode("utf-8", "backslashreplace")
    digest.update(b"%d %d\n" % (len(data), len(picture)) + data)
    digest.update(picture)
    return len(data) + len(picture)
