"""Parses bodies of requests into posts: JSON, JSON Lines, or a form with pictures as parts.

An invalid post becomes a `Problem` in its place. No path is ever opened: the picture of a post is base64,
a part of the form, or (where the service allows it) a web address, which is fetched elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from twofold.corpora.json_types import kind_of
from twofold.corpora.jsonl import parse_json, parse_post
from twofold.corpora.lengths import characters
from twofold.corpora.lines import read_lines
from twofold.errors import InputError, PictureError
from twofold.posts import Post
from twofold.preprocessing.picture_decoding import check_pixels
from twofold.server.bodies import media_type
from twofold.server.errors import ApiError
from twofold.server.settings import Limits

JSON, NDJSON, FORM = "application/json", "application/x-ndjson", "multipart/form-data"
LINES = (NDJSON, "application/jsonl", "application/x-jsonlines", "application/json-lines")
"""Content types of JSON Lines."""
_POST = '{"id": 1, "text": "…", "image": {"base64": "…"}}'
_BODY = f'a post such as {_POST}, or {{"posts": [post, …]}}'
_PICTURE = 'base64 as data:image/jpeg;base64,… or {"base64": "…"}, or the name of a part of the form'
_SEND = "send the bytes of the picture as base64, or as a part of multipart/form-data"
_FIELDS = ("id", "text", "alt_text", "image")


class Problem(NamedTuple):
    """An invalid post.

    Attributes:
        id: of the post, where it has one; else None.
        error: what is wrong.
    """

    id: str | int | None
    error: ApiError


class ToFetch(NamedTuple):
    """A post whose picture is at a web address."""

    post: Post
    url: str


Item = Post | ToFetch | Problem


@dataclass(frozen=True, slots=True)
class Payload:
    """What a body holds.

    Attributes:
        items: one for each post, in order.
        single: whether it is one post, whose answer is not in a list.
        lines: whether it is JSON Lines; then the answer is, too.
    """

    items: list[Item]
    single: bool = False
    lines: bool = False


def read_payload(headers: Mapping[str, str], body: bytes, limits: Limits, fetch: bool) -> Payload:
    """The posts of a body.

    Args:
        headers: of the request, names in lower case.
        body: the whole body.
        limits: of the service.
        fetch: whether pictures may be at web addresses.

    Raises:
        ApiError: the body does not match its content type, or holds too many posts.
    """
    content_type = media_type(headers)
    reader = _Reader(limits, fetch)
    if content_type in LINES:
        return Payload(reader.items(_lines(body, limits), lambda i: f"line {i + 1}"), lines=True)
    if content_type == FORM:
        return _form(headers, body, reader)
    if content_type == JSON or content_type.endswith("+json"):
        return _payload(_json(body, "the body"), reader)
    raise ApiError(
        415,
        "content_type",
        f"the content type is {content_type[:80]!r}" if content_type else "the request has no content type",
        expected=f"{JSON}, {NDJSON} or {FORM}",
        do="name it in the Content-Type header",
    )


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the body is a form, which is read in a thread without an event loop."""
    return media_type(headers) == FORM


def _payload(value: object, reader: _Reader) -> Payload:
    if isinstance(value, dict) and "posts" in value and "id" not in value:
        if extra := sorted(value.keys() - {"posts"}):
            raise ApiError(
                422,
                "unknown_key",
                f"there is the key {extra[0][:40]!r} beside posts",
                expected='{"posts": [post, …]} and no other key',
                do="pass options as query parameters, such as ?min_confidence=0.5",
            )
        posts = value["posts"]
        if not isinstance(posts, list):
            raise ApiError(422, "bad_posts", f"posts is {kind_of(posts)}", expected="a list of posts")
        return Payload(reader.items(posts, lambda i: f"posts[{i}]"))
    if not isinstance(value, dict):
        raise ApiError(422, "bad_body", f"the body holds {kind_of(value)}", expected=_BODY)
    return Payload([reader.item(value, "the post")], single=True)


def _json(body: bytes, where: str) -> object:
    try:
        return parse_json(body, "", _BODY, where)
    except InputError as error:
        raise ApiError.of(error, 400, "bad_json") from error


def _lines(body: bytes, limits: Limits) -> list[object]:
    """A record for each line, or an error in its place."""
    records: list[object] = []
    for line in read_lines(io.BytesIO(body), limits.body):
        _check_count(len(records) + 1, limits)
        try:
            if not line.data.strip():
                raise InputError(
                    "the line is blank", where=f"line {line.number}", expected=_POST, do="remove the line"
                )
            records.append(parse_json(line.data, f"line {line.number}", _POST))
        except InputError as error:
            records.append(Problem(None, ApiError.of(error, 422, "bad_json")))
    return records


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.posts:
        raise ApiError(
            413,
            "too_many_posts",
            f"the request has more than {limits.posts:,} posts",
            expected=f"at most {limits.posts:,}",
            do="send several requests",
        )


class _Reader:
    """Turns records into items.

    Args:
        limits: of the service.
        fetch: whether pictures may be at web addresses.
        parts: pictures that came as parts of the form, by name.
    """

    def __init__(self, limits: Limits, fetch: bool, parts: Mapping[str, bytes] | None = None) -> None:
        self._limits, self._fetch, self._parts = limits, fetch, parts or {}

    def with_parts(self, parts: Mapping[str, bytes]) -> _Reader:
        return _Reader(self._limits, self._fetch, parts)

    def items(self, records: list[object], place: Callable[[int], str]) -> list[Item]:
        _check_count(len(records), self._limits)
        return [self.item(record, place(i)) for i, record in enumerate(records)]

    def item(self, record: object, where: str) -> Item:
        if isinstance(record, Problem):
            return record
        try:
            return self._item(record, where)
        except ApiError as error:
            return Problem(_id_of(record), error)
        except InputError as error:
            return Problem(_id_of(record), ApiError.of(_error_of_service(error, where), 422, "bad_post"))

    def _item(self, record: object, where: str) -> Item:
        if not isinstance(record, dict):
            raise InputError(f"the post is {kind_of(record)}", where=where, expected=_POST)
        image, url = self._picture(record.get("image"), where)
        post = parse_post(record | {"image": image}, where)
        self._check(post, where)
        return ToFetch(post, url) if url else post

    def _picture(self, value: object, where: str) -> tuple[object, str]:
        """The picture as `parse_post` takes it, and the web address of one to fetch; paths are refused."""
        if isinstance(value, Mapping):
            self._check_base64(value.get("base64"), where)
            return {"base64": value.get("base64")}, ""
        if not isinstance(value, str) or not value:
            return value, ""
        if value in self._parts:
            return self._parts[value], ""
        if value[:5].lower() == "data:":
            self._check_base64(value, where)
            return value, ""
        if value.lower().startswith(("http://", "https://")):
            return None, self._url(value, where)
        raise ApiError(
            422,
            "picture_path",
            f"image is {value[:80]!r}, which is not a picture",
            where=where,
            expected=_PICTURE,
            do=f"{_SEND}; the service opens no files",
        )

    def _url(self, value: str, where: str) -> str:
        if self._fetch:
            return value
        raise ApiError(
            422,
            "picture_address",
            f"image is the web address {value[:80]!r}",
            where=where,
            expected=_PICTURE,
            do=f"{_SEND}; this service fetches nothing (`twofold serve --fetch-pictures` allows it)",
        )

    def _check_base64(self, value: object, where: str) -> None:
        if isinstance(value, str) and len(value) * 3 // 4 > self._limits.picture + 100:
            raise _large_picture(len(value) * 3 // 4, self._limits, where)

    def _check(self, post: Post, where: str) -> None:
        count = characters(post)
        if count > self._limits.characters:
            raise ApiError(
                413,
                "text_too_long",
                f"the post has {count:,} characters",
                where=where,
                expected=f"at most {self._limits.characters:,}",
                do="split it, or start the service with a higher --max-characters",
            )
        if not isinstance(post.image, bytes):
            return
        if len(post.image) > self._limits.picture:
            raise _large_picture(len(post.image), self._limits, where)
        try:
            check_pixels(post.image, self._limits.pixels)
        except PictureError as error:
            raise ApiError(
                413, "picture_too_large", error.what, where=where, do="make it smaller; it was not decoded"
            ) from error


def _large_picture(count: int, limits: Limits, where: str) -> ApiError:
    return ApiError(
        413,
        "picture_too_large",
        f"the picture has about {count:,} bytes",
        where=where,
        expected=f"at most {limits.picture:,}",
        do="make it smaller: models use at most a few hundred pixels a side",
    )


def _error_of_service(error: InputError, where: str) -> InputError:
    """An error of the parser; where it is about the picture, with advice for requests, not for files."""
    if not error.what.startswith("image"):
        return error
    return InputError(error.what, where=where, expected=_PICTURE, do=_SEND)


def _id_of(record: object) -> str | int | None:
    value = record.get("id") if isinstance(record, dict) else None
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return None
    return value


# --- forms -------------------------------------------------------------------------------------------


class _InMemory(MultiPartParser):
    """Keeps parts in memory: the size of the body is limited, and the file system may be read-only."""

    spool_max_size = 1 << 62
    ended = False

    def on_end(self) -> None:
        """Note that the last boundary came."""
        self.ended = True

    def close(self) -> None:
        """Close the parts that are files."""
        for file in self._files_to_close_on_error:
            file.close()


def _form(headers: Mapping[str, str], body: bytes, reader: _Reader) -> Payload:
    fields, parts = _parse_form(headers, body, reader)
    known = reader.with_parts(parts)
    if "posts" in fields:
        if extra := sorted(fields.keys() - {"posts"}):
            raise _bad_form(f"there is the field {extra[0][:40]!r} beside posts")
        value = _json(fields["posts"].encode("utf-8", "surrogatepass"), "the field posts")
        return _payload({"posts": value} if isinstance(value, list) else value, known)
    if unknown := sorted(fields.keys() - set(_FIELDS)):
        raise _bad_form(f"there is a field {unknown[0][:40]!r}")
    if len(parts) + ("image" in fields) > 1:
        raise _bad_form("one post came with several pictures")
    record: dict[str, Any] = {"id": 1} | fields
    if parts:
        record["image"] = next(iter(parts))
    return Payload([known.item(record, "the post")], single=True)


def _parse_form(
    headers: Mapping[str, str], body: bytes, reader: _Reader
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields by their name, and files by their file name, or by the name of their field without one."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    most = reader._limits.posts
    parser = _InMemory(
        Headers({"Content-Type": headers["content-type"]}),
        stream(),
        max_files=most,
        max_fields=len(_FIELDS) + 1,
        max_part_size=len(body) + 1,
    )
    with contextlib.closing(parser):
        try:
            form = asyncio.run(parser.parse())  # this thread has no event loop, and nothing is awaited
        except MultiPartException as error:
            raise _bad_form(f"the form cannot be read: {error.message}", 400) from error
        if not parser.ended:
            raise _bad_form("the form ends before its last boundary", 400)
        return _fields_and_files(form)


def _fields_and_files(form: FormData) -> tuple[dict[str, str], dict[str, bytes]]:
    fields: dict[str, str] = {}
    parts: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            key = value.filename or name
            if key in parts:
                raise _bad_form(f"two parts have the file name {key[:40]!r}")
            parts[key] = value.file.read()
        elif name in fields:
            raise _bad_form(f"the field {name[:40]!r} appears twice")
        else:
            fields[name] = value
    return fields, parts


def _bad_form(what: str, status: int = 422) -> ApiError:
    return ApiError(
        status,
        "bad_form",
        what,
        expected="the field posts with JSON and a part for each picture that a post names, or one post in "
        f"the fields {', '.join(_FIELDS)}",
    )
