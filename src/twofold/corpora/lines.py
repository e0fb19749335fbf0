"""Lines of a data file as bytes, numbered, decoded one by one.

A line ends at ``\\n`` and nowhere else: posts hold U+0085, U+2028 and lone carriage returns, which
text mode and `str.splitlines` would take for line ends. It does not know what a line means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from twofold.errors import DataError, InputError
from twofold.posts import Rejected

MAX_BYTES = 64 * 1024 * 1024
"""Longest line or block that is read (enough for a picture as base64 in a line)."""
_RAW_LENGTH = 1000
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line.

    Attributes:
        number: counted from 1.
        data: its bytes without ``\\n`` or ``\\r\\n``; only its beginning where not `whole`.
        whole: False where the line was longer than the limit.
    """

    number: int
    data: bytes
    whole: bool = True


class Block(NamedTuple):
    """Lines that belong together: one post of a column file.

    Attributes:
        number: of its first line.
        lines: in order, without the blank line that ends the block.
        whole: False where it was longer than the limit and only its beginning is here.
    """

    number: int
    lines: list[Line]
    whole: bool = True


def read_lines(stream: BinaryIO, limit: int = MAX_BYTES) -> Iterator[Line]:
    """Lines of a binary stream; of one longer than ``limit`` bytes only the beginning is kept.

    Raises:
        DataError: the stream cannot be read to its end (a broken disk, a special file).
    """
    number = 0
    while data := _readline(stream, limit + 1):
        number += 1
        whole = len(data) <= limit or data.endswith(b"\n")
        if not whole:
            _skip_line(stream)
            data = data[:_RAW_LENGTH]
        if number == 1:
            data = data.removeprefix(_BOM)
        yield Line(number, data.removesuffix(b"\n").removesuffix(b"\r"), whole)


def _skip_line(stream: BinaryIO) -> None:
    while (data := _readline(stream, 1 << 20)) and not data.endswith(b"\n"):
        pass


def _readline(stream: BinaryIO, size: int) -> bytes:
    try:
        return stream.readline(size)
    except OSError as error:
        name = getattr(stream, "name", "")
        raise unreadable(error, name if isinstance(name, str) else "standard input") from error


def unreadable(error: OSError, where: str) -> DataError:
    """The error for a file that cannot be read to its end."""
    return DataError(
        f"cannot be read: {error.strerror or error}",
        where=where,
        expected="a file that can be read to its end",
        do="check the disk, or copy the file to another one",
    )


def read_blocks(
    lines: Iterable[Line], starts: Callable[[bytes], bool], limit: int = MAX_BYTES
) -> Iterator[Block]:
    """Blocks of lines: a blank line ends one (a lone TAB counts as blank), a line that ``starts`` begins one.

    Args:
        lines: as `read_lines` gives them.
        starts: True for a line that begins a block even without a blank line before it.
        limit: bytes after which the rest of a block is skipped, and the block is not whole.
    """
    block, size, whole = list[Line](), 0, True
    for line in lines:
        blank = line.whole and not line.data.strip(b" \t\r")
        if block and (blank or starts(line.data)):
            yield Block(block[0].number, block, whole)
            block, size, whole = [], 0, True
        if not blank:
            size += len(line.data)
            whole = whole and line.whole and size <= limit
            if whole or not block:
                block.append(line)
    if block:
        yield Block(block[0].number, block, whole)


def display_path(path: Path) -> str:
    """The path for messages and ids, with bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def decode(data: bytes, where: str) -> str:
    """The bytes as text.

    Raises:
        InputError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte 0x{data[error.start]:02x} at position {error.start} is not UTF-8",
            where=where,
            expected="text encoded as UTF-8",
            do="save the file as UTF-8",
        ) from error


def check_characters(text: str, key: str, origin: str) -> None:
    """Raise InputError if text from JSON has half of a surrogate pair, which UTF-8 cannot encode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{key} has half of a surrogate pair (U+{ord(text[error.start]):04X}) at position {error.start}",
            where=origin,
            expected="whole characters",
            do="write the file with a JSON encoder that keeps surrogate pairs together",
        ) from error


def too_long(where: str, limit: int = MAX_BYTES) -> InputError:
    """The error for a line or block over the limit."""
    size = f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit} bytes"
    return InputError(
        f"longer than {size}",
        where=where,
        expected="one post a line" if limit >= 2**20 else "a shorter line",
        do="split it, or give the picture as a path instead of base64",
    )


def rejected(error: InputError, raw: bytes) -> Rejected:
    """The record that could not be read; its reason does not repeat its origin."""
    reason = str(InputError(error.what, expected=error.expected, do=error.do))
    return Rejected(error.where, reason, raw.decode("utf-8", "backslashreplace"))
