"""JSON arrays, read incrementally: posts as objects; also used for Label Studio tasks.

It does not know what an item means.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.json_types import kind_of
from twofold.corpora.jsonl import EXPECTED, duplicate_key_error, parse_row
from twofold.corpora.lines import MAX_BYTES, display_path, rejected
from twofold.errors import InputError
from twofold.posts import Post, Rejected
from twofold.reading import not_json, open_file

_CHUNK = 1 << 16
_RAW_LENGTH = 1000
_NOT_SPACE = re.compile(r"[^ \t\n\r]")


def read_json_array(path: Path, attachments: Attachments, columns: ColumnNames) -> Iterator[Post | Rejected]:
    """Posts of an array whose items are objects as in JSON Lines.

    Args:
        path: JSON in UTF-8, of any length.
        attachments: where pictures and alternative texts are.
        columns: names of the keys that hold the fields of a post.
    """
    for number, (row, raw) in enumerate(items_of(path, EXPECTED), start=1):
        origin = f"{display_path(path)}:item {number}"
        try:
            if isinstance(row, InputError):
                raise row
            if not isinstance(row, dict):
                raise InputError(f"the item is {kind_of(row)}", expected=EXPECTED)
            yield parse_row(row, origin, path.parent, attachments, columns)
        except InputError as error:
            yield dataclasses.replace(rejected(error, raw.encode("utf-8", "backslashreplace")), origin=origin)


def items_of(path: Path, expected: str) -> Iterator[tuple[object, str]]:
    """Items of an array, each with the beginning of its text; an InputError in place of an invalid one.

    Reading stops at an item that is not JSON, since its end is unknown.

    Args:
        path: the file.
        expected: what an item should be, for messages.
    """
    with open_file(path) as stream:
        text = _Text(stream)
        text.take("[")
        while text.peek() != "]":
            try:
                yield text.item()
            except (ValueError, RecursionError) as error:
                unclosed = "the file ends before its array does"
                what = f"the next item is {not_json(error)}" if text.peek() else unclosed
                yield InputError(what, expected=expected), text.beginning()
                return
            if not text.take(",") and text.peek() not in ("]", ""):
                what = "there is no comma between two items"
                yield InputError(what, expected="items with commas between"), text.beginning()
                return
        text.take("]")
        if text.peek():
            what = "the file continues after its array"
            yield InputError(what, expected="one array", do="put all items into it"), text.beginning()


class _Text:
    """A position in the text of a file, part of which is in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        blocks = iter(lambda: stream.read(_CHUNK), b"")
        self._chunks = codecs.iterdecode(blocks, "utf-8-sig", "surrogateescape")
        self._text, self._position = "", 0
        self._repeated: list[list[tuple[str, Any]]] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while found := _NOT_SPACE.search(self._text, self._position) or self._read():
            if isinstance(found, re.Match):
                self._position = found.start()
                return found.group()
        return ""

    def _read(self) -> bool:
        """Read the next chunk, when only white space is left of this one."""
        self._text, self._position = next(self._chunks, ""), 0
        return bool(self._text)

    def take(self, character: str) -> bool:
        """Skip a character if it is the next one."""
        found = self.peek() == character
        self._position += found
        return found

    def beginning(self) -> str:
        """The beginning of the remaining text, for messages."""
        return self._text[self._position : self._position + _RAW_LENGTH]

    def item(self) -> tuple[object, str]:
        """The next JSON value and the beginning of its text.

        Raises:
            ValueError, RecursionError: what follows is not valid JSON.
        """
        while True:
            self._repeated.clear()
            try:
                item, end = self._decoder.raw_decode(self._text, self._position)
            except (ValueError, RecursionError):
                rest = self._text[self._position :]
                longer = _more(rest, self._chunks) if len(rest) < MAX_BYTES else rest
                self._text, self._position = longer, 0
                if len(longer) == len(rest):  # at the end of the file, or over the limit
                    raise
                continue
            raw = self._text[self._position : min(end, self._position + _RAW_LENGTH)]
            self._position = end  # the rest may be long, so do not copy it for each item
            return (duplicate_key_error(self._repeated[0]) if self._repeated else item), raw

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            self._repeated.append(pairs)
        return value


def _more(text: str, chunks: Iterator[str]) -> str:
    """The text, more than doubled in length, so that a long item is not scanned too often."""
    parts, size = [text], 0
    while size <= len(text):
        part = next(chunks, None)
        if part is None:
            break
        parts.append(part)
        size += len(part)
    return "".join(parts)
