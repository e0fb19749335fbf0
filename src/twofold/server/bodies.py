"""Reads bodies of requests, with limits on time and on the bytes of one body and of all bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request

from twofold.server.budget import Held
from twofold.server.errors import ApiError
from twofold.server.settings import Limits


def media_type(headers: Mapping[str, str]) -> str:
    """The content type of a request without its parameters, in lower case; "" where it has none.

    Args:
        headers: names in lower case.
    """
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits, held: Held) -> bytes:
    """The body of a request.

    Args:
        request: not read yet.
        limits: on its bytes and the time it takes.
        held: counts the bytes read.

    Raises:
        ApiError: the body is too large, too slow or compressed; or other requests hold too many bytes.
        ClientDisconnect: the client has disconnected.
    """
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise ApiError(
            415,
            "content_encoding",
            f"the body is encoded as {encoding[:40]!r}",
            expected="a body that is not compressed",
            do="leave out Content-Encoding",
        )
    declared = request.headers.get("content-length")
    if declared is not None:
        _check(int(declared), limits)
        held.grow_to(int(declared))
    try:
        return await asyncio.wait_for(_read(request, limits, held), limits.body_seconds)
    except asyncio.TimeoutError as error:
        raise ApiError(
            408, "slow", f"the body did not arrive within {limits.body_seconds:g} seconds"
        ) from error


async def _read(request: Request, limits: Limits, held: Held) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        _check(len(body) + len(chunk), limits)
        held.grow_to(len(body) + len(chunk))
        body += chunk
    return bytes(body)


def _check(count: int, limits: Limits) -> None:
    if count > limits.body:
        raise ApiError(
            413,
            "body_too_large",
            f"the body has more than {limits.body:,} bytes",
            expected=f"at most {limits.body:,}",
            do="send less in one request",
        )
