"""Posts as JSON: one object per line, or one mapping from Python.

``id`` and one of ``text`` and ``tokens`` are required; ``image``, ``alt_text``, ``regions``, ``entities``
and ``relations`` are optional, and other keys are ignored. Labels may also have the form that
doccano and Prodigy export (`annotation_tools`). Null, and the NaN of pandas, count as an absent key.
Everything is checked here, so that later code need not. It does not open pictures.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from twofold.corpora.annotation_tools import (
    entities_key,
    id_key,
    is_gold,
    relation_record,
    span_record,
    token_texts,
)
from twofold.corpora.attachments import Attachments
from twofold.corpora.bio import TokenSpan, join
from twofold.corpora.column_names import DEFAULT_COLUMNS, ColumnNames
from twofold.corpora.json_types import as_python, is_missing, kind_of
from twofold.corpora.lines import (
    Line,
    check_characters,
    decode,
    display_path,
    read_lines,
    rejected,
    too_long,
)
from twofold.corpora.regions import parse_region
from twofold.errors import InputError
from twofold.posts import Entity, Post, Rejected, Relation
from twofold.reading import not_json, open_file

T = TypeVar("T")
Record = Mapping[str, Any]

EXPECTED = 'a JSON object such as {"id": 1, "text": "…", "image": "photo.jpg"}'
"""A post as JSON, for messages."""

_SPAN = '{"start": …, "end": …, "type": "…"}'
_ITEMS = {
    "entities": _SPAN,
    "relations": '{"head": {…}, "tail": {…}, "type": "…"}',
    "regions": '{"box": [left, top, right, bottom], "label": "…"}',
    "head": _SPAN,
    "tail": _SPAN,
}


def read_jsonl(
    source: Path | BinaryIO,
    attachments: Attachments | None = None,
    name: str = "",
    columns: ColumnNames = DEFAULT_COLUMNS,
    folder: Path | None = None,
) -> Iterator[Post | Rejected]:
    """Posts of a JSON Lines file or stream, in order: one result per line, whatever the line contains.

    Args:
        source: a file, or a binary stream such as ``sys.stdin.buffer``.
        attachments: where pictures and alternative texts are; without it the path of a picture is
            relative to the file's folder (to the working folder for a stream).
        name: of the source, for messages; by default the file's path, or "<stdin>".
        columns: names of the keys that hold the fields of a post.
        folder: folder that paths of pictures are relative to, if not the file's folder.
    """
    if not isinstance(source, Path):
        yield from _posts(source, name or "<stdin>", folder or Path(), attachments, columns)
        return
    with open_file(source) as stream:
        yield from _posts(stream, name or display_path(source), folder or source.parent, attachments, columns)


def _posts(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    for line in read_lines(stream):
        origin = f"{name}:{line.number}"
        try:
            yield parse_row(parse_object(line, origin), origin, folder, attachments, columns)
        except InputError as error:
            yield rejected(error, line.data)


def parse_object(line: Line, origin: str) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        InputError: the line does not hold one.
    """
    if not line.whole:
        raise too_long(origin)
    if not line.data.strip():
        raise InputError("the line is blank", where=origin, expected=EXPECTED, do="remove the line")
    value = parse_json(line.data, origin, EXPECTED)
    if not isinstance(value, dict):
        raise InputError(f"the line holds {kind_of(value)}", where=origin, expected=EXPECTED)
    return value


def parse_json(data: bytes, origin: str, expected: str, what: str = "the line") -> Any:
    """Parse any JSON value.

    Args:
        data: JSON in UTF-8.
        origin: where it came from, for messages.
        expected: what should have come, for messages.
        what: name of the data in messages.

    Raises:
        InputError: it is not JSON, or a key of an object appears twice.
    """
    text = decode(data, origin).removeprefix("\ufeff")  # byte order mark of a file that was appended
    try:
        return _DECODER.decode(text)
    except InputError as error:
        raise InputError(error.what, where=origin, expected=error.expected, do=error.do) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is {not_json(error)}", where=origin, expected=expected) from error


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise duplicate_key_error(pairs)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_with_unique_keys)  # `json.loads` would create one per line


def duplicate_key_error(pairs: list[tuple[str, Any]]) -> InputError:
    """The error for a JSON object in which a key appears twice, since one of its values would be lost."""
    repeated = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return InputError(f"the key {repeated[:40]!r} appears twice", expected="each key once", do="remove one")


def parse_post(record: Record, origin: str = "", base_folder: Path | None = None) -> Post:
    """Parse one post from a mapping with the keys of a line of JSON Lines.

    In addition to JSON values, ``image`` may be a `Path` or the picture's bytes, and values of numpy and
    pandas are accepted (whole numbers, arrays for lists, NaN for a missing value).

    Args:
        record: the post.
        origin: where it came from, for messages.
        base_folder: folder that the path of a picture is relative to; the working folder by default.

    Raises:
        InputError: a field is missing or invalid.
    """
    if not isinstance(record, Mapping):
        raise InputError(
            f"the post is {kind_of(record)}", where=origin, expected="a mapping with id and text"
        )
    return _parse(record, origin, base_folder or Path(), None)


def parse_row(
    row: Record, origin: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Post:
    """Parse one post from a row of a file.

    Args:
        row: its values by the name of their column or key.
        origin: where it came from, for messages.
        folder: folder that the path of a picture is relative to.
        attachments: where pictures and alternative texts are.
        columns: which column holds which field of a post.

    Raises:
        InputError: a field is missing or invalid.
    """
    post = _parse(columns.record(row, origin), origin, folder, attachments)
    return replace(post, carried=columns.carry(row, origin)) if columns.carried else post


def _parse(record: Record, origin: str, folder: Path, attachments: Attachments | None) -> Post:
    text, tokens = _text(record, origin)
    image, name = _image(_value(record, "image"), origin)
    alt_text = _optional_string(record, "alt_text", origin)
    if attachments is not None and name:
        alt_text = alt_text or attachments.alt_text(name) or attachments.alt_text(Path(name).name)
    if isinstance(image, Path):
        image = _picture_path(image, folder, attachments)
    entities, relations = _entities(record, text, origin), _relations(record, text, origin)
    return Post(
        id=_id(record, origin),
        text=text,
        tokens=tokens,
        image=image,
        alt_text=alt_text if alt_text and alt_text.strip() else None,
        entities=None if entities is None else tuple(sorted(entities, key=lambda e: (e.start, e.end))),
        relations=relations,
        regions=_list(record, "regions", origin, lambda item: parse_region(_mapping(item, "regions"))),
        origin=origin,
    )


def _picture_path(image: Path, folder: Path, attachments: Attachments | None) -> Path | None:
    if attachments is None or attachments.images is None:
        return folder / image
    if attachments.photos is not None:
        return attachments.picture(str(image)) or attachments.picture(image.name)
    return attachments.picture(str(image))


def _value(record: Record, key: str) -> Any:
    value = record.get(key)
    return None if is_missing(value) else value


def _entities(record: Record, text: str, origin: str) -> tuple[Entity, ...] | None:
    if not is_gold(record):
        return None
    return _list(
        record,
        entities_key(record),
        origin,
        lambda item: _entity(_mapping(span_record(item), "entities"), text),
    )


def _relations(record: Record, text: str, origin: str) -> tuple[Relation, ...] | None:
    if not is_gold(record) or _value(record, "relations") is None:
        return None
    entities = as_python(record.get(entities_key(record)))

    def parse(item: object) -> Relation:
        return _relation(_mapping(relation_record(item, entities), "relations"), text)

    return _list(record, "relations", origin, parse)


def _id(record: Record, origin: str) -> str | int:
    key = id_key(record)
    if key not in record:
        raise InputError(
            "the post has no id", where=origin, expected="a field id: text or a whole number", do="add one"
        )
    value = as_python(record[key])
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"id is {kind_of(value)}", where=origin, expected="text or a whole number")
    if isinstance(value, str):
        check_characters(value, "id", origin)
    return value


def _text(record: Record, origin: str) -> tuple[str, tuple[TokenSpan, ...] | None]:
    tokens = _tokens(record, origin)
    text = _optional_string(record, "text", origin)
    if tokens is None:
        if text is None:
            found = kind_of(record["text"]) if "text" in record else "missing"
            raise InputError(
                f"text is {found}",
                where=origin,
                expected='a field text (it may be "") or tokens',
                do="give the words of the post as text",
            )
        return text, None
    joined, token_spans = join(tokens)
    if text is None or text == joined:
        return joined, token_spans
    return text, _align(tokens, text, origin)


def _tokens(record: Record, origin: str) -> list[str] | None:
    tokens = token_texts(as_python(_value(record, "tokens")))
    if tokens is None:
        return None
    if not isinstance(tokens, (list, tuple)):
        raise InputError(f"tokens is {kind_of(tokens)}", where=origin, expected="a list of strings")
    for i, token in enumerate(tokens):
        if not isinstance(token, str) or not token:
            found = "empty" if token == "" else kind_of(token)
            raise InputError(
                f"tokens[{i}] is {found}", where=origin, expected="a string of at least one character"
            )
        check_characters(token, f"tokens[{i}]", origin)
    return list(tokens)


def _align(tokens: list[str], text: str, origin: str) -> tuple[TokenSpan, ...]:
    """The (start, end) of each token in a text with other white space between tokens than one space."""
    token_spans: list[TokenSpan] = []
    position = 0
    for i, token in enumerate(tokens):
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            raise InputError(
                f"tokens[{i}] {token[:40]!r} does not follow in the text at position {position}",
                where=origin,
                expected="the text's own words in order, with nothing but white space between",
                do="leave out either text or tokens",
            )
        position = start + len(token)
        token_spans.append((start, position))
    if text[position:].strip():
        raise InputError(
            f"the text goes on after the last token: {text[position:][:40]!r}",
            where=origin,
            expected="tokens that cover the text",
            do="leave out either text or tokens",
        )
    return tuple(token_spans)


def _optional_string(record: Record, key: str, origin: str) -> str | None:
    value = _value(record, key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{key} is {kind_of(value)}", where=origin, expected="text")
    check_characters(value, key, origin)
    return value


def _image(value: object, origin: str) -> tuple[Path | bytes | None, str]:
    """The picture and its name (empty for bytes)."""
    if isinstance(value, Mapping) and value.get("bytes", "") is None:  # as `datasets` stores a path
        value = value.get("path")
    if value is None or (isinstance(value, str) and not value):
        return None, ""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value), ""
    if isinstance(value, Path):
        return value, str(value)
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):  # as `datasets` stores pictures
        return value["bytes"], ""
    if isinstance(value, Mapping) and isinstance(value.get("base64"), str):
        return _from_base64(value["base64"], origin), ""
    if not isinstance(value, str):
        raise InputError(
            f"image is {kind_of(value)}",
            where=origin,
            expected='a path, bytes of a picture file, a data: address or {"base64": "…"}',
            do="save the picture as a file and give its path",
        )
    check_characters(value, "image", origin)
    if value[:5].lower() == "data:":
        return _from_data(value, origin), ""
    return _path(value, origin), value


def _path(value: str, origin: str) -> Path:
    if value[:8].lower().startswith(("http://", "https://")):
        raise InputError(
            f"image is the web address {value[:80]!r}",
            where=origin,
            expected="a file or base64",
            do="fetch the picture first and give its path; nothing is fetched from the network",
        )
    if "\0" in value:
        raise InputError("image has a NUL character", where=origin, expected="the path of a file")
    return Path(value)


def _from_data(value: str, origin: str) -> bytes:
    head, comma, body = value.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise InputError(
            f"image is the data address {value[:40]!r}…",
            where=origin,
            expected="data:image/<type>;base64,<…>",
        )
    return _from_base64(body, origin)


def _from_base64(value: str, origin: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"image is not base64: {error}",
            where=origin,
            expected="base64 of the picture file's bytes",
            do="encode the file again, or give its path",
        ) from error


def _list(record: Record, key: str, origin: str, parse: Callable[[object], T]) -> tuple[T, ...] | None:
    """Apply ``parse`` to each item of a list; None if the key is absent or null."""
    items = as_python(_value(record, key))
    if items is None:
        return None
    if not isinstance(items, (list, tuple)):
        raise InputError(f"{key} is {kind_of(items)}", where=origin, expected="a list")
    parsed: list[T] = []
    for i, item in enumerate(items):
        try:
            parsed.append(parse(item))
        except InputError as error:  # name the post as well as the item
            raise InputError(
                f"{key}[{i}] {error.what}", where=origin, expected=error.expected, do=error.do
            ) from error
    return tuple(parsed)


def _mapping(value: object, key: str = "") -> Record:
    if not isinstance(value, Mapping):
        raise InputError(f"is {kind_of(value)}", expected=_ITEMS.get(key, "an object"))
    return value


def _entity(item: Record, text: str, needs_type: bool = True) -> Entity:
    start, end = _offset(item, "start"), _offset(item, "end")
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"runs from {start} to {end}, but the text has {len(text)} characters",
            expected=f"0 ≤ start < end ≤ {len(text)}, counted in Unicode code points",
        )
    surface = text[start:end]
    written = item.get("text")
    if not is_missing(written) and not (isinstance(written, str) and written == surface):
        raise InputError(
            f"says {written!r:.80}, but the text from {start} to {end} is {surface!r:.80}",
            expected="the same words",
            do="count offsets in Unicode code points, not in bytes or UTF-16 units",
        )
    return Entity(start, end, surface, _type(item, needs_type), well_formed=_well_formed(item))


def _offset(item: Record, key: str) -> int:
    value = as_python(item.get(key))
    if isinstance(value, bool) or not isinstance(value, int):
        found = kind_of(value) if key in item else "missing"
        raise InputError(f"{key} is {found}", expected="a whole number")
    return value


def _type(item: Record, required: bool = True) -> str:
    value = item.get("type", "")
    if not isinstance(value, str) or (required and not value):
        found = kind_of(value) if value != "" else "missing or empty"
        raise InputError(f"type is {found}", expected='the name of a type such as "PER"')
    check_characters(value, "type", "")
    return value


def _well_formed(item: Record) -> bool:
    value = as_python(item.get("well_formed", True))
    if not isinstance(value, bool):
        raise InputError(f"well_formed is {kind_of(value)}", expected="true or false")
    return value


def _relation(item: Record, text: str) -> Relation:
    arguments: list[Entity] = []
    for key in ("head", "tail"):
        try:
            arguments.append(_entity(_mapping(item.get(key), key), text, needs_type=False))
        except InputError as error:
            raise InputError(f"{key} {error.what}", expected=error.expected, do=error.do) from error
    return Relation(arguments[0], arguments[1], _type(item))
