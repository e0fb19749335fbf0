"""Arrays of JSON, read piece by piece: posts as objects, and the way to tasks of Label Studio.

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
from twofold.corpora.jsonl import EXPECTED, parse_row, repetition
from twofold.corpora.lines import MAX_BYTES, rejected, shown
from twofold.errors import InputError
from twofold.posts import Post, Rejected
from twofold.reading import not_json, open_file

_CHUNK = 1 << 16
_SHOWN = 1000
_SIGN = re.compile(r"[^ \t\n\r]")


def read_json_array(path: Path, attachments: Attachments, columns: ColumnNames) -> Iterator[Post | Rejected]:
    """Posts of an array, each an object as a line of JSON Lines holds it.

    Args:
        path: JSON in UTF-8, of any length.
        attachments: where pictures and alternative texts are.
        columns: names of the keys that hold the fields of a post.
    """
    for number, (row, raw) in enumerate(items_of(path, EXPECTED), start=1):
        origin = f"{shown(path)}:item {number}"
        try:
            if isinstance(row, InputError):
                raise row
            if not isinstance(row, dict):
                raise InputError(f"the item is {kind_of(row)}", expected=EXPECTED)
            yield parse_row(row, origin, path.parent, attachments, columns)
        except InputError as error:
            yield dataclasses.replace(rejected(error, raw.encode("utf-8", "backslashreplace")), origin=origin)


def items_of(path: Path, expected: str) -> Iterator[tuple[object, str]]:
    """Items of an array with the beginning of their text; an InputError for what is none.

    Nothing follows an item that is not JSON, since nobody knows where it ends.

    Args:
        path: the file.
        expected: what an item should be, for messages.
    """
    with open_file(path) as stream:
        text = _Text(stream)
        text.take("[")
        while text.next() != "]":
            try:
                yield text.item()
            except (ValueError, RecursionError) as error:
                what = f"what follows is {not_json(error)}" if text.next() else "the file ends in its midst"
                yield InputError(what, expected=expected), text.beginning()
                return
            if not text.take(",") and text.next() not in ("]", ""):
                what = "no comma stands between two items"
                yield InputError(what, expected="items with commas between"), text.beginning()
                return
        text.take("]")
        if text.next():
            what = "the file goes on behind its array"
            yield InputError(what, expected="one array", do="put all items into it"), text.beginning()


class _Text:
    """A place in the text of a file, of which some lies in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        blocks = iter(lambda: stream.read(_CHUNK), b"")
        self._chunks = codecs.iterdecode(blocks, "utf-8-sig", "surrogateescape")
        self._text, self._place = "", 0
        self._repeated: list[list[tuple[str, Any]]] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def next(self) -> str:
        """The next character that is no white space; "" at the end."""
        while found := _SIGN.search(self._text, self._place) or self._read():
            if isinstance(found, re.Match):
                self._place = found.start()
                return found.group()
        return ""

    def _read(self) -> bool:
        """Read on behind white space."""
        self._text, self._place = next(self._chunks, ""), 0
        return bool(self._text)

    def take(self, sign: str) -> bool:
        """Go behind a character, if it is the next one."""
        found = self.next() == sign
        self._place += found
        return found

    def beginning(self) -> str:
        """Some of what comes next, for a person."""
        return self._text[self._place : self._place + _SHOWN]

    def item(self) -> tuple[object, str]:
        """The next value of JSON and the beginning of its text.

        Raises:
            ValueError, RecursionError: there is none.
        """
        while True:
            self._repeated.clear()
            try:
                item, end = self._decoder.raw_decode(self._text, self._place)
            except (ValueError, RecursionError):
                rest = self._text[self._place :]
                longer = _more(rest, self._chunks) if len(rest) < MAX_BYTES else rest
                self._text, self._place = longer, 0
                if len(longer) == len(rest):  # to its end, or too far
                    raise
                continue
            raw = self._text[self._place : min(end, self._place + _SHOWN)]
            self._place = end  # the rest may be long, and is not copied for each item
            return (repetition(self._repeated[0]) if self._repeated else item), raw

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            self._repeated.append(pairs)
        return value


def _more(text: str, chunks: Iterator[str]) -> str:
    """The text with as much again behind it, so that a long item is not scanned too often."""
    parts, size = [text], 0
    while size <= len(text):
        part = next(chunks, None)
        if part is None:
            break
        parts.append(part)
        size += len(part)
    return "".join(parts)
