"""Rows of the input cut into shards, the same in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from twofold.batch.inputs import Rows
from twofold.posts import Post, Rejected

_BYTES = 64 * 1024 * 1024
"""A shard ends where its texts and pictures are larger than this, whatever its rows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Some rows of the input.

    Attributes:
        number: counted from 0.
        first: number of its first row, counted from 0 over all files.
        items: the rows in order, at least one.
        digest: of their content; that of picture files is not in it.
        position: bytes of the input that were read up to its end.
    """

    number: int
    first: int
    items: tuple[Post | Rejected, ...]
    digest: str
    position: int


def cut(rows: Rows, size: int) -> Iterator[Shard]:
    """Shards of at most ``size`` rows."""
    items: list[Post | Rejected] = []
    number = first = held = 0
    digest = hashlib.blake2b(digest_size=16)
    for item in rows:
        items.append(item)
        held += _update(digest, item)
        if len(items) == size or held > _BYTES:
            yield Shard(number, first, tuple(items), digest.hexdigest(), rows.position)
            number, first, held = number + 1, first + len(items), 0
            items, digest = [], hashlib.blake2b(digest_size=16)
    if items:
        yield Shard(number, first, tuple(items), digest.hexdigest(), rows.position)


def _update(digest: hashlib.blake2b, item: Post | Rejected) -> int:
    """Add a row to a digest; gives its size in bytes, about."""
    if isinstance(item, Rejected):
        told: tuple[object, ...] = ("rejected", item.raw)
        picture = b""
    else:
        image = item.image
        picture = image if isinstance(image, bytes) else str(image).encode("utf-8", "surrogateescape")
        told = (
            item.id, item.text, item.alt_text, item.tokens, item.entities, item.relations, item.regions,
            dict(item.carried),
        )  # fmt: skip
    data = repr(told).encode("utf-8", "backslashreplace")
    digest.update(b"%d %d\n" % (len(data), len(picture)) + data)
    digest.update(picture)
    return len(data) + len(picture)
