"""CoNLL columns: one token per line with its tag in another column, a blank line after each post.

Columns are separated by TAB, or by spaces if a line has no TAB. The tag is the second column if that holds a
BIO tag (WNUT-17, whose test file has a second annotation after it in some copies), else the last one
(CoNLL-2003). Lines ``# id = …``, ``# image = …`` and ``# alt_text = …`` before a post give its other fields;
further ``# name = …`` lines are comments. A line ``-DOCSTART-`` separates posts as a blank line does. A line
with an empty token and ``O`` (the Broad Twitter Corpus has some) is left out. Every other line holds a token,
or its block is rejected.

It does not know which types mean the same; see `annotations`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from twofold.corpora.attachments import Attachments
from twofold.corpora.bio import Scheme, entities_of, is_tag, join, spans_of
from twofold.corpora.columns import columns_of, is_empty_token, scheme_of, tag_of
from twofold.corpora.lines import (
    Block,
    Line,
    check_characters,
    decode,
    display_path,
    read_blocks,
    read_lines,
    rejected,
    too_long,
)
from twofold.errors import InputError
from twofold.posts import Post, Rejected
from twofold.reading import open_file

_COMMENT = re.compile(r"# ?(\w+) ?= ?([^\t]*)")
_KNOWN_COMMENTS = {"id", "image", "alt_text"}
_DOCUMENT_START = b"-DOCSTART-"


def read_conll(path: Path, attachments: Attachments | None = None) -> Iterator[Post | Rejected]:
    """Posts of a column file, in order; a block that cannot be read is yielded as `Rejected`.

    Args:
        path: the file.
        attachments: where pictures and alternative texts are, for posts that name a picture.
    """
    scheme = scheme_of(path)
    with open_file(path) as stream:
        for block in read_blocks(map(_blank_document_start, read_lines(stream)), lambda data: False):
            try:
                post = _post(block, path, scheme, attachments or Attachments())
                if post is not None:
                    yield post
            except InputError as error:
                yield rejected(error, b"\n".join(line.data for line in block.lines))


def _blank_document_start(line: Line) -> Line:
    """A blank line in place of ``-DOCSTART-`` and its columns; an entity of that name stays a token."""
    if not line.data.startswith(_DOCUMENT_START):
        return line
    columns = columns_of(line.data.decode("utf-8", "replace"))
    is_entity = is_tag(tag_of(columns)) and tag_of(columns) != "O"
    return line if is_entity or columns[0].encode() != _DOCUMENT_START else line._replace(data=b"")


def _post(block: Block, path: Path, scheme: Scheme, attachments: Attachments) -> Post | None:
    """The post of a block; None if it has only comments that are not fields of a post."""
    origin = f"{display_path(path)}:{block.number}"
    if not block.whole:
        raise too_long(origin)
    comments, rows = _comments(block.lines, origin)
    if not rows and not _KNOWN_COMMENTS & comments.keys():
        return None
    pairs = [_token_and_tag(row, origin) for row in rows if not is_empty_token(row)]
    text, token_spans = join([token for token, _ in pairs])
    name = str(comments.get("image", ""))
    return Post(
        id=comments.get("id", f"{display_path(Path(path.name))}#{block.number}"),
        text=text,
        tokens=token_spans,
        image=(attachments.picture(name) if attachments.images else path.parent / name) if name else None,
        alt_text=str(comments.get("alt_text", "")).strip() or attachments.alt_text(name),
        entities=entities_of(text, token_spans, spans_of([tag for _, tag in pairs], scheme)),
        origin=origin,
    )


def _comments(lines: list[Line], origin: str) -> tuple[dict[str, str | int], list[Line]]:
    """The ``# name = value`` lines before the tokens, and the other lines."""
    comments: dict[str, str | int] = {}
    for i, line in enumerate(lines):
        match = _comment(decode(line.data, origin))
        if match is None:
            return comments, lines[i:]
        comments[match[1]] = _value(match[2], match[1], origin)
    return comments, []


def _comment(line: str) -> re.Match[str] | None:
    """The line as ``# name = value``; None where it holds a token, such as ``#a=b``, and its tag."""
    match = _COMMENT.fullmatch(line)
    if match is None or line.startswith("# "):
        return match
    return match if match[1] in _KNOWN_COMMENTS and not is_tag(tag_of(columns_of(line))) else None


def _value(written: str, name: str, origin: str) -> str | int:
    """A JSON string or whole number (so that the ids "12" and 12 stay distinct), else the raw text."""
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return written
    if isinstance(value, str):
        check_characters(value, name, origin)
        if "\0" in value and name == "image":
            raise InputError("image has a NUL character", where=origin, expected="the path of a file")
        return value
    return value if isinstance(value, int) and not isinstance(value, bool) else written


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
