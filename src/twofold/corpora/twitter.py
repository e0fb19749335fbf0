"""Twitter-2015 and Twitter-2017: ``IMGID:<id>``, then ``token<TAB>tag`` lines, then a blank line.

Lines are split at TAB only: a token may be a no-break space, and zero-width or C1 characters belong
to the post. ``OTHER`` of 2015 is renamed to ``MISC``, as in 2017. It does not know which release it reads
(see `releases`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twofold.corpora.attachments import Attachments
from twofold.corpora.bio import Scheme, entities_of, is_tag, join, spans_of
from twofold.corpora.columns import scheme_of
from twofold.corpora.lines import (
    Block,
    Line,
    decode,
    display_path,
    read_blocks,
    read_lines,
    rejected,
    too_long,
)
from twofold.errors import InputError
from twofold.posts import Post, Rejected, renamed
from twofold.reading import open_file

TYPES = {"OTHER": "MISC"}
_HEADER = b"IMGID:"


def read_twitter(path: Path, attachments: Attachments | None = None) -> Iterator[Post | Rejected]:
    """Posts of a Twitter-2015/2017 file, in order; a block that cannot be read is yielded as `Rejected`.

    Args:
        path: the file.
        attachments: where pictures (``<id>.jpg``) and alternative texts are.
    """
    attachments = attachments or Attachments()
    scheme = scheme_of(path)
    with open_file(path) as stream:
        for block in read_blocks(read_lines(stream), is_header):
            origin = f"{display_path(path)}:{block.number}"
            try:
                yield _post(block, origin, scheme, attachments)
            except InputError as error:
                yield rejected(error, b"\n".join(line.data for line in block.lines))


def is_header(data: bytes) -> bool:
    """Whether the line begins a post."""
    return data.startswith(_HEADER) and b"\t" not in data


def _post(block: Block, origin: str, scheme: Scheme, attachments: Attachments) -> Post:
    if not block.whole:
        raise too_long(origin)
    header, *rows = block.lines
    name = _name(header, origin)
    pairs = [_token_and_tag(row, origin) for row in rows]
    text, token_spans = join([token for token, _ in pairs])
    picture = f"{name}.jpg"
    return Post(
        id=name,
        text=text,
        tokens=token_spans,
        image=attachments.picture(picture),
        alt_text=attachments.alt_text(picture),
        entities=renamed(entities_of(text, token_spans, spans_of([tag for _, tag in pairs], scheme)), TYPES),
        origin=origin,
        picture_name="" if attachments.images else picture,
    )


def _name(header: Line, origin: str) -> str:
    name = decode(header.data, origin).removeprefix("IMGID:") if is_header(header.data) else ""
    if not name or "\0" in name:
        raise InputError(
            "the block does not begin with the name of its picture",
            where=origin,
            expected="a line IMGID:<id> before the tokens",
            do="add it, or remove the blank line that cuts the post in two",
        )
    return name


def _token_and_tag(line: Line, origin: str) -> tuple[str, str]:
    token, tab, tag = decode(line.data, origin).partition("\t")
    if not tab or not token:
        missing = "token" if tab else "TAB"
        raise InputError(
            f"line {line.number} has no {missing}: {_short(line)}",
            where=origin,
            expected="token<TAB>tag",
        )
    if not is_tag(tag):
        raise InputError(
            f"line {line.number} has the tag {tag[:40]!r}",
            where=origin,
            expected="O, B-<type> or I-<type>",
        )
    return token, tag


def _short(line: Line) -> str:
    return repr(line.data[:40].decode("utf-8", "backslashreplace"))
