"""Columns of a line in a column file, and the tagging scheme of the whole file.

In IOB1 an entity begins with ``I-``, and with ``B-`` only directly after an entity of its own type. A file
that does so throughout is read as IOB1, and all its entities count as well formed. One with a ``B-`` anywhere
else is BIO (or BIOES, BILOU), and an entity that begins with ``I-`` in it is a labelling error, of which
Twitter-2015 has some. It does not know how lines form posts.
"""

from __future__ import annotations

from pathlib import Path

from twofold.corpora.bio import Scheme, is_tag
from twofold.corpora.lines import Line, read_lines
from twofold.reading import open_file


def columns_of(text: str) -> list[str]:
    """Columns of a line; with TABs, a token may contain or be any white space but TAB."""
    return text.split("\t") if "\t" in text else [column for column in text.split(" ") if column]


def tag_of(columns: list[str]) -> str:
    """The column that holds the tag (empty if there is none)."""
    if len(columns) > 1 and is_tag(columns[1]):
        return columns[1]
    return next((column for column in reversed(columns[1:]) if column), "")


def is_empty_token(line: Line) -> bool:
    """Whether a line is an empty token outside entities: a TAB and ``O`` in the column of the tag."""
    return line.data.startswith(b"\t") and tag_of(columns_of(line.data.decode("utf-8", "replace"))) == "O"


def count_empty_tokens(path: Path) -> int:
    """Number of lines of a column file that are empty tokens."""
    with open_file(path) as stream:
        return sum(map(is_empty_token, read_lines(stream)))


def scheme_of(path: Path) -> Scheme:
    """Tagging scheme of a column file; the search ends at the first tag that is not IOB1."""
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
    """The line's tag; ``O`` if it has no valid one."""
    tag = tag_of(columns_of(line.data.decode("utf-8", "replace")))
    return tag if is_tag(tag) and not line.data.startswith(b"# ") else "O"
