"""Columns of a line of a column file, and the scheme that the tags of the whole file follow.

In IOB1 an entity begins with ``I-``, and with ``B-`` only directly after an entity of its own type. A file
that does so throughout is read as IOB1, and all its entities count as well formed. One with a ``B-`` anywhere
else is BIO (or BIOES, BILOU), and an entity that begins with ``I-`` in it is a fault of the labels, as some
are in Twitter-2015. It does not know how lines make posts.
"""

from __future__ import annotations

from pathlib import Path

from twofold.corpora.bio import Scheme, is_tag
from twofold.corpora.lines import Line, read_lines
from twofold.reading import open_file


def columns_of(text: str) -> list[str]:
    """Columns of a line; a token between TABs may hold or be any white space but TAB."""
    return text.split("\t") if "\t" in text else [column for column in text.split(" ") if column]


def tag_of(columns: list[str]) -> str:
    """The column that holds the tag (empty where none could)."""
    if len(columns) > 1 and is_tag(columns[1]):
        return columns[1]
    return next((column for column in reversed(columns[1:]) if column), "")


def holds_nothing(line: Line) -> bool:
    """Whether a line is an empty token outside every entity: a TAB and ``O`` in the column of the tag."""
    return line.data.startswith(b"\t") and tag_of(columns_of(line.data.decode("utf-8", "replace"))) == "O"


def count_empty_tokens(path: Path) -> int:
    """How many lines of a column file hold nothing."""
    with open_file(path) as stream:
        return sum(map(holds_nothing, read_lines(stream)))


def scheme_of(path: Path) -> Scheme:
    """Scheme of the tags of a column file; the first ``B-`` of BIO ends the search."""
    before, begins_with_i = "O", False
    with open_file(path) as stream:
        for line in read_lines(stream):
            tag = _tag(line)
            continues = tag[2:] == before[2:] and before != "O"
            if tag[:2] not in ("O", "I-", "B-") or (tag[:2] == "B-" and not continues):
                return "BIO"
            begins_with_i = begins_with_i or (tag != "O" and not continues)
            before = tag
    return "IOB1" if begins_with_i else "BIO"


def _tag(line: Line) -> str:
    """The line's tag; ``O`` where it holds none that is one."""
    tag = tag_of(columns_of(line.data.decode("utf-8", "replace")))
    return tag if is_tag(tag) and not line.data.startswith(b"# ") else "O"
