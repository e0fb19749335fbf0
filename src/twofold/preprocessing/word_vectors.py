"""Word vectors from a file: word2vec's binary and text formats, GloVe's text, each also gzipped.

Read as a stream and only up to a limit: such files list frequent words first and may be larger than memory.
Pickles are not read. It does not know what the vectors are for.

Shape letters: N words, V width.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import DataError
from twofold.reading import open_file

Floats = NDArray[np.float32]
Entry = tuple[bytes, Floats]

_EXPECTED = "word vectors in word2vec's binary or text format, or GloVe's text format"
_LINE = 1 << 20  # a longer line or word is not valid
_BLOCK = 1 << 20
_NOT_VECTORS = {
    b"\x80": ("a pickle, which could hold code", "write it with gensim's save_word2vec_format"),
    b"PK\x03\x04": ("a zip archive", "unpack it and give the file inside"),
}


class Vectors(NamedTuple):
    """Words and their vectors.

    Attributes:
        words: N distinct words, frequent ones first.
        states: (N, V).
    """

    words: list[str]
    states: Floats


def read_vectors(path: Path, limit: int = 0) -> Vectors:
    """Read the first words of a file. Of a word that occurs twice, the first vector is used.

    Args:
        path: the file; its content shows the format.
        limit: number of words to read, at most; 0 for all.

    Raises:
        DataError: it cannot be read, is truncated, or is not of a known format; with line or word number.
    """
    found: dict[str, Floats] = {}
    try:
        with open_file(path) as raw:
            for word, vector in _entries(_unzipped(raw, path), str(path)):
                name = word.decode("utf-8", "replace")
                if name.strip() and "�" not in name and "\n" not in name:  # others cannot occur in a post
                    found.setdefault(name, vector)
                if limit and len(found) >= limit:
                    break
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), expected=_EXPECTED) from error
    if not found:
        raise DataError("it contains no words", where=str(path), expected=_EXPECTED)
    return Vectors(list(found), np.stack(list(found.values())))


def _unzipped(raw: io.BufferedReader, path: Path) -> io.BufferedReader:
    """The stream, unzipped where it is gzipped."""
    start = raw.peek(4)
    for sign, (what, do) in _NOT_VECTORS.items():
        if start.startswith(sign):
            raise DataError(f"it is {what}", where=str(path), expected=_EXPECTED, do=do)
    if start.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    return raw


def _entries(stream: io.BufferedReader, where: str) -> Iterator[Entry]:
    """Words with their vectors, in the format that the first lines show."""
    first = stream.readline(_LINE)
    header = first.split()
    if len(header) == 2 and all(item.isdigit() for item in header):
        count, width = int(header[0]), int(header[1])
        if not count or not width:
            raise DataError(
                f"its first line says {first.decode().strip()!r}", where=where, expected=_EXPECTED
            )
        if _is_text(stream.peek(4096)[:4096]):
            return _counted(_text(_lines(stream), width, where, 2), count, where)
        return _counted(_binary(stream, count, width, where), count, where)
    if not _is_text(first) or len(header) < 2:
        raise DataError("its first line is not of a known format", where=where, expected=_EXPECTED)
    return _text(chain([first], _lines(stream)), len(header) - 1, where, 1)


def _is_text(start: bytes) -> bool:
    """Whether bytes look like text: without control characters, which binary vectors are full of."""
    return bool(start) and all(byte >= 32 or byte in b"\n\r\t" for byte in start)


def _counted(entries: Iterator[Entry], count: int, where: str) -> Iterator[Entry]:
    """Exactly as many entries as the first line says."""
    number = 0
    for number, entry in enumerate(entries, 1):
        if number > count:
            raise DataError(f"more words than the {count} of its first line", where=where, expected=_EXPECTED)
        yield entry
    if number < count:
        raise DataError(
            f"it ends after {number} of the {count} words that its first line declares",
            where=where,
            expected="the whole file",
            do="download it again: it is truncated",
        )


def _lines(stream: io.BufferedReader) -> Iterator[bytes]:
    return iter(lambda: stream.readline(_LINE), b"")


def _text(lines: Iterator[bytes], width: int, where: str, first: int) -> Iterator[Entry]:
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        fields = line.rstrip().replace(b"\t", b" ").rsplit(b" ", width)
        at = f"{where}:{number}"
        # A word may hold spaces, in some files of GloVe; but not one that ends in numbers.
        if len(fields) <= width or (b" " in fields[0] and _numbers(fields[0].split(b" ")[1:]) is not None):
            count = len(line.split()) - 1
            raise DataError(f"the line has {count} numbers", where=at, expected=f"a word and {width} numbers")
        vector = _numbers(fields[1:])
        if vector is None:
            raise DataError(
                "a number of the line cannot be read, or is not finite",
                where=at,
                expected=f"a word and {width} numbers",
            )
        yield fields[0], vector


def _numbers(fields: list[bytes]) -> Floats | None:
    """The finite numbers in the fields; None where a field is not a finite number, or there are no fields."""
    try:
        values = np.array(fields, dtype=np.bytes_).astype(np.float32)
    except ValueError:
        return None
    return values if len(values) and np.isfinite(values).all() else None


def _binary(stream: io.BufferedReader, count: int, width: int, where: str) -> Iterator[Entry]:
    data, at, size = b"", 0, 4 * width
    for number in range(1, count + 1):
        end = data.find(b" ", at)
        while end < 0 or len(data) < end + 1 + size:
            more = stream.read(_BLOCK)
            if not more or (end < 0 and len(data) - at > _LINE):
                return  # the file is truncated; `_counted` raises the error
            data, at = data[at:] + more, 0
            end = data.find(b" ")
        vector = np.frombuffer(data, "<f4", width, end + 1).astype(np.float32)
        if not np.isfinite(vector).all():
            raise DataError(
                f"the vector of word {number} is not finite", where=where, expected=f"{width} numbers a word"
            )
        yield data[at:end].lstrip(b"\n"), vector
        at = end + 1 + size
