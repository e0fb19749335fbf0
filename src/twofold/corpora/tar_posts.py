"""Posts and their pictures inside a tar file, as WebDataset lays them out.

Consecutive members with the same path up to the first dot of their name form a post: ``a/7.json`` (the fields
of a post; a missing ``id`` is replaced by the path, ``a/7``), or ``a/7.txt`` (its text), and one picture such
as ``a/7.jpg``. Nothing is unpacked to disk, and no link is followed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from tarfile import EmptyHeaderError, EOFHeaderError, ReadError  # type: ignore[attr-defined]
from typing import Any, BinaryIO, cast

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_json, parse_row
from twofold.corpora.lines import MAX_BYTES, decode, rejected
from twofold.errors import DataError, InputError
from twofold.posts import Post, Rejected

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic")
"""Suffixes of pictures."""


def read_tar(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts in the order of the file. Arguments as in `read_csv`.

    Raises:
        DataError: the file cannot be read to its end.
    """
    groups = groupby(_members(stream, name), key=lambda member: member[0])
    for number, (key, members) in enumerate(groups, start=1):
        origin = f"{name}:{number}"
        sample: dict[str, bytes | None] = {}
        duplicates: list[str] = []
        for _, kind, data in members:
            duplicates += [kind] * (kind in sample)
            sample.setdefault(kind, data)
        try:
            if duplicates:
                raise InputError(
                    f"{key}.{duplicates[0]} appears twice",
                    where=origin,
                    expected="different names for each post",
                )
            row = _row(key, sample, origin)
            with _named(key):
                post = parse_row(row, origin, folder, attachments, columns)
        except InputError as error:
            yield rejected(error, sample.get("json") or sample.get("txt") or key.encode())
        else:
            yield post


def _members(stream: BinaryIO, name: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Name up to the first dot, the rest of it, and content of each member (None: too long or not a file)."""
    try:
        plain = cast(BinaryIO, _FiniteStream(stream))
        with tarfile.open(fileobj=plain, mode="r|", errors="backslashreplace", **_STRICT) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # otherwise it keeps all of them
                path = PurePosixPath(member.name)
                key, _, kind = path.name.partition(".")
                if member.isdir() or not key:
                    continue
                file = tar.extractfile(member) if member.isreg() and member.size <= MAX_BYTES else None
                yield str(path.parent / key), kind.lower(), None if file is None else file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            "cannot be read as a tar file: it is damaged or ends too early",
            where=name,
            expected="a tar file that can be read to its end",
            do="write it again",
        ) from error


class _Member(tarfile.TarInfo):
    """A member whose header is checked.

    `tarfile` silently stops at a damaged header, and at the first block of zeros, after which another archive
    may follow.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """See `tarfile`; an extended header is held in memory, so its size is limited."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED_HEADER_TYPES and not 0 <= member.size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Member:
        """See `tarfile`."""
        try:
            member = super().fromtarfile(tarfile)
        except EOFHeaderError:  # a block of zeros: the end, unless another archive follows
            tarfile.ended = True  # type: ignore[attr-defined]
            raise
        except EmptyHeaderError:  # the end of the file
            if tarfile.offset and not getattr(tarfile, "ended", False):
                raise ReadError("it ends too early") from None
            raise
        except Exception as error:  # invalid numbers, invalid texts
            raise ReadError("a header is damaged") from error
        if member.size < 0:
            raise ReadError("a header is damaged")
        tarfile.ended = False  # type: ignore[attr-defined]
        return member


class _FiniteStream:
    """A stream with limited reads at its end: `tarfile` skips a member of impossible size block by block."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._empty_reads_left = stream, 1000

    def read(self, size: int) -> bytes:
        """Read; raise EOFError after too many reads at the end."""
        data = self._stream.read(size)
        self._empty_reads_left -= not data
        if not self._empty_reads_left:
            raise EOFError
        return data


_STRICT: dict[str, Any] = {"tarinfo": _Member, "ignore_zeros": True}
_EXTENDED_HEADER_TYPES = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_MAX_HEADER_BYTES = 1 << 20


def _row(key: str, sample: dict[str, bytes | None], origin: str) -> dict[str, Any]:
    for kind, data in sample.items():
        if data is None:
            size = f"{MAX_BYTES // 2**20} MB"
            raise InputError(f"{key}.{kind} is a link or longer than {size}", where=origin, expected="a file")
    row: dict[str, Any] = {}
    if (raw := sample.get("json")) is not None:
        with _named(f"{key}.json"):
            row = parse_json(raw, origin, "a JSON object", "the member")
        if not isinstance(row, dict):
            raise InputError(f"{key}.json is not an object", where=origin, expected="a JSON object")
    row.setdefault("id", key)
    if (text := sample.get("txt")) is not None:
        with _named(f"{key}.txt"):
            row.setdefault("text", decode(text, origin))
    pictures = [kind for kind in PICTURES if kind in sample]
    if len(pictures) > 1:
        raise InputError(
            f"{key} has {len(pictures)} pictures: {', '.join(f'{key}.{kind}' for kind in pictures)}",
            where=origin,
            expected="at most one picture for each post",
            do="keep one of them, or give the others another name",
        )
    return row | {"image": sample[pictures[0]]} if pictures else row


@contextmanager
def _named(member: str) -> Iterator[None]:
    """Begin the message of an InputError with the path of a member, since nobody counts the rows of a tar."""
    try:
        yield
    except InputError as error:
        what = f"{member}: {error.what}"
        raise InputError(what, where=error.where, expected=error.expected, do=error.do) from error
