"""Compressed files as plain streams: gzip and Zstandard, recognised by their first bytes.

Memory does not grow with the file. A damaged compressed file raises `OSError` when its stream is read, as any
other file does; the message never quotes its content. It does not know what is in a file.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any, BinaryIO

from twofold.extras import extra_module

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SUFFIXES = (".gz", ".zst")
"""Suffixes of compressed files."""


def is_compressed(head: bytes) -> bool:
    """Whether `plain_stream` unpacks a file that begins with these bytes."""
    return head.startswith((GZIP, ZSTANDARD))


def plain_stream(stream: BinaryIO, name: str = "") -> BinaryIO:
    """The content of a file, unpacked if it is compressed.

    Args:
        stream: a seekable one.
        name: of the file, for messages.

    Raises:
        MissingExtraError: the file is Zstandard, and pyarrow is not installed.
    """
    head = stream.read(4)
    stream.seek(0)
    if head.startswith(GZIP):
        return io.BufferedReader(_Unpacked(gzip.GzipFile(fileobj=stream), name), 1 << 16)
    if head.startswith(ZSTANDARD):
        pa = extra_module("pyarrow", "scale", "Zstandard files")
        unpacked = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
        return io.BufferedReader(_Unpacked(unpacked, name), 1 << 16)
    return stream


class _Unpacked(io.RawIOBase):
    """A stream whose every error is an `OSError`."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self.name = stream, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read1(len(buffer))  # data before an error is not lost
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise OSError("the compressed file is damaged or ends too early") from error
        buffer[: len(data)] = data
        return len(data)
