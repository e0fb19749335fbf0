"""MNRE: one Python literal per line, an instance of a relation between two spans of a post.

``{'token': […], 'h': {'name': …, 'pos': [start, end]}, 't': {…}, 'img_id': '….jpg', 'relation': …}``
with positions in tokens, end exclusive. The head may follow the tail, and the two may overlap. Lines
of the same post are separate posts here, one relation each. It evaluates no code: a line may
hold only strings, numbers, lists and dicts, which is checked before Python's parser sees it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from twofold.corpora.attachments import Attachments
from twofold.corpora.bio import TokenSpan, join
from twofold.corpora.lines import decode, display_path, read_lines, rejected, too_long
from twofold.errors import InputError
from twofold.posts import Entity, Post, Rejected, Relation
from twofold.reading import open_file

_MAX_LINE = 1 << 20
_MAX_DEPTH = 5
_STRING = re.compile(  # an unclosed one runs to the end: it never fails, so it never backtracks
    r"'(?:[^'\\]|\\(?:.|\Z))*(?:'|\Z)|\"(?:[^\"\\]|\\(?:.|\Z))*(?:\"|\Z)", re.DOTALL
)
_PLAIN = re.compile(r"[\s\d{}\[\](),:]*")
_EXPECTED = "{'token': […], 'h': {'name': …, 'pos': [start, end]}, 't': {…}, 'img_id': …, 'relation': …}"


def read_mnre(path: Path, attachments: Attachments | None = None) -> Iterator[Post | Rejected]:
    """Instances of an MNRE file, in order; a line that cannot be read is yielded as `Rejected`.

    The id is ``<img_id>#<line>``. Head and tail have the types that the relation's name states
    ("/per/org/member_of"), and an empty type where the relation is ``None``.

    Args:
        path: the file.
        attachments: where pictures (``img_id``) and alternative texts are.
    """
    attachments = attachments or Attachments()
    with open_file(path) as stream:
        for line in read_lines(stream, _MAX_LINE):
            origin = f"{display_path(path)}:{line.number}"
            try:
                if not line.whole:
                    raise too_long(origin, _MAX_LINE)
                yield _post(_literal(decode(line.data, origin), origin), line.number, origin, attachments)
            except InputError as error:
                yield rejected(error, line.data)


def _literal(text: str, origin: str) -> dict[object, object]:
    plain = _STRING.sub("", text)
    if not text.strip():
        raise InputError("the line is blank", where=origin, expected=_EXPECTED, do="remove the line")
    if not _PLAIN.fullmatch(plain) or _depth(plain) > _MAX_DEPTH:
        raise InputError("the line is not a plain Python literal", where=origin, expected=_EXPECTED)
    try:
        with warnings.catch_warnings():  # an unknown escape (\d) is only a warning, which users need not see
            if "\\" in text:
                warnings.simplefilter("ignore")
            parsed = ast.parse(text.strip(), mode="eval").body
            value = ast.literal_eval(parsed)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(
            f"the line is not a Python literal: {error}", where=origin, expected=_EXPECTED
        ) from error
    if not isinstance(value, dict):
        raise InputError("the line is not a dict", where=origin, expected=_EXPECTED)
    if isinstance(parsed, ast.Dict) and len(value) < len(parsed.keys):
        raise InputError("a key appears twice", where=origin, expected="each key once")
    return value


def _depth(plain: str) -> int:
    depth = deepest = 0
    for character in plain:
        if character in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}])":
            depth -= 1
    return deepest


def _post(record: dict[object, object], number: int, origin: str, attachments: Attachments) -> Post:
    tokens = _tokens(record, origin)
    text, token_spans = join(tokens)
    type_, picture = _string(record, "relation", origin), _string(record, "img_id", origin)
    head_type, tail_type = _types(type_)
    head = _argument(record, "h", head_type, text, token_spans, origin)
    tail = _argument(record, "t", tail_type, text, token_spans, origin)
    return Post(
        id=f"{picture}#{number}",
        text=text,
        tokens=token_spans,
        image=attachments.picture(picture),
        alt_text=attachments.alt_text(picture),
        relations=(Relation(head, tail, type_),),
        origin=origin,
        picture_name="" if attachments.images else picture,
    )


def _tokens(record: dict[object, object], origin: str) -> list[str]:
    tokens = record.get("token")
    if not isinstance(tokens, list) or not tokens:
        raise InputError("'token' is missing or not a list", where=origin, expected="a list of strings")
    for i, token in enumerate(tokens):
        if not isinstance(token, str) or not token or _has_surrogate(token):
            raise InputError(
                f"token {i} is {token!r}", where=origin, expected="a string of at least one character"
            )
    return tokens


def _string(record: dict[object, object], key: str, origin: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value or _has_surrogate(value) or "\0" in value:
        raise InputError(f"{key!r} is missing or not text", where=origin, expected=f"{key!r}: a string")
    return value


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _types(relation: str) -> tuple[str, str]:
    parts = relation.split("/")
    return (parts[1].upper(), parts[2].upper()) if len(parts) == 4 and not parts[0] else ("", "")


def _argument(
    record: dict[object, object],
    key: str,
    type_: str,
    text: str,
    token_spans: tuple[TokenSpan, ...],
    origin: str,
) -> Entity:
    argument = record.get(key)
    position = argument.get("pos") if isinstance(argument, dict) else None
    first, last = _position(position, key, len(token_spans), origin)
    start, end = token_spans[first][0], token_spans[last - 1][1]
    name = argument.get("name", text[start:end]) if isinstance(argument, dict) else ""
    if name != text[start:end]:
        raise InputError(
            f"{key!r} is named {name!r}, but tokens {first} to {last} are {text[start:end]!r}",
            where=origin,
            expected="the tokens at 'pos' with a space between",
        )
    return Entity(start, end, text[start:end], type_)


def _position(position: object, key: str, tokens: int, origin: str) -> tuple[int, int]:
    match position:
        case [int(first), int(last)] if 0 <= first < last <= tokens:
            return first, last
    raise InputError(
        f"'pos' of {key!r} is {position!r}"[:200],
        where=origin,
        expected=f"[start, end] with 0 ≤ start < end ≤ {tokens}, the number of tokens",
    )
