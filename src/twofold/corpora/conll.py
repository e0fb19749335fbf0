"""CoNLL columns: a token a line with its tag in another column, a blank line after each post.

Columns are parted by TAB, or by spaces where a line has no TAB. The tag is the second column where
that holds a BIO tag (WNUT-17, whose test file has a second annotation beside it in some copies), else
the last one (CoNLL-2003). Lines ``# id = …``, ``# image = …`` and ``# alt_text = …`` before a post say
what columns cannot; other ``# name = …`` lines and ``-DOCSTART-`` are passed over.

It does not know which types mean the same: pass ``types`` (`WNUT_TYPES`, for instance).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from twofold.corpora.attachments import Attachments
from twofold.corpora.bio import entities_of, is_tag, join, spans_of
from twofold.corpora.lines import Block, Line, decode, read_blocks, read_lines, rejected, too_long
from twofold.errors import InputError
from twofold.posts import Post, Rejected

WNUT_TYPES = {
    "person": "PER",
    "location": "LOC",
    "group": "ORG",
    "corporation": "ORG",
    "product": "MISC",
    "creative-work": "MISC",
}
"""WNUT-17's six types as the four of the Twitter corpora."""

_REMARK = re.compile(r"# ?(\w+) ?= ?([^\t]*)")


def read_conll(
    path: Path, attachments: Attachments | None = None, types: Mapping[str, str] | None = None
) -> Iterator[Post | Rejected]:
    """Posts of a column file, in order; a block that cannot be read comes out rejected.

    Args:
        path: the file.
        attachments: where pictures and alternative texts are, for posts that name a picture.
        types: new name of a type; one that is not in it keeps its own.
    """
    with path.open("rb") as stream:
        for block in read_blocks(read_lines(stream), lambda data: False):
            if block.lines[0].data.startswith(b"-DOCSTART-"):
                continue
            try:
                yield _post(block, path, attachments or Attachments(), types or {})
            except InputError as error:
                yield rejected(error, b"\n".join(line.data for line in block.lines))


def _post(block: Block, path: Path, attachments: Attachments, types: Mapping[str, str]) -> Post:
    origin = f"{path}:{block.number}"
    if not block.whole:
        raise too_long(origin)
    remarks, rows = _remarks(block.lines, origin)
    pairs = [_token_and_tag(row, origin) for row in rows]
    text, places = join([token for token, _ in pairs])
    name = str(remarks.get("image") or "")
    identity = remarks.get("id")
    alt_text = remarks.get("alt_text")
    return Post(
        id=identity if isinstance(identity, (str, int)) else f"{path.name}#{block.number}",
        text=text,
        tokens=places,
        image=(attachments.picture(name) if attachments.images else path.parent / name) if name else None,
        alt_text=str(alt_text) if alt_text else attachments.alt_text(name),
        entities=entities_of(text, places, spans_of([tag for _, tag in pairs]), types),
        origin=origin,
    )


def _remarks(lines: list[Line], origin: str) -> tuple[dict[str, object], list[Line]]:
    """The ``# name = value`` lines before the tokens, and the other lines."""
    remarks: dict[str, object] = {}
    for i, line in enumerate(lines):
        match = _REMARK.fullmatch(decode(line.data, origin)) if line.data.startswith(b"#") else None
        if match is None:
            return remarks, lines[i:]
        remarks[match[1]] = _value(match[2])
    return remarks, []


def _value(written: str) -> object:
    """JSON where it is JSON (so that the id "12" and 12 stay apart), else the words as they stand."""
    try:
        return json.loads(written)
    except ValueError:
        return written


def _token_and_tag(line: Line, origin: str) -> tuple[str, str]:
    columns = columns_of(decode(line.data, origin))
    if len(columns) < 2 or not columns[0]:
        raise InputError(
            f"line {line.number} has no {'token' if len(columns) > 1 else 'second column'}",
            where=origin,
            expected="a token and its tag with a TAB between",
        )
    tag = tag_of(columns)
    if not is_tag(tag):
        raise InputError(
            f"line {line.number} has the tag {tag[:40]!r}",
            where=origin,
            expected="O, B-<type> or I-<type> in the second or the last column",
        )
    return columns[0], tag


def columns_of(text: str) -> list[str]:
    """Columns of a line; a token between TABs may hold or be any white space but TAB."""
    return text.split("\t") if "\t" in text else [column for column in text.split(" ") if column]


def tag_of(columns: list[str]) -> str:
    """The column that holds the tag (empty where none could)."""
    if len(columns) > 1 and is_tag(columns[1]):
        return columns[1]
    return next((column for column in reversed(columns[1:]) if column), "")
