"""Checks of every request (host, origin, API key), and headers of every response.

A service on this machine can be reached by any page that the user opens in a browser: a request from another
origin, or to a host name that is not ours (DNS rebinding), is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twofold.server.errors import ApiError
from twofold.server.metrics import Metrics

OPEN = ("/healthz", "/readyz", "/openapi.json")
"""Paths that need no key: they reveal nothing about any post."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": PAGE_POLICY,
}


class Guard:
    """Middleware that checks requests and adds headers to responses.

    Args:
        app: the application behind it.
        hosts: names that the Host header may have; none for any.
        keys: API keys; none for no key.
        public: further paths that need no key; one that ends with a slash includes all below it, except
            "/", which is only itself.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], keys: Sequence[str], public: Collection[str] = ()
    ) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}
        self._keys = [_digest(key) for key in keys]
        self._public = tuple(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        error = self._error(scope["path"], Headers(scope=scope))
        app = self._app if error is None else response_of(error)
        await app(scope, receive, with_headers)

    def _error(self, path: str, headers: Headers) -> ApiError | None:
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return ApiError(
                421,
                "host",
                f"the Host header is {host[:80]!r}",
                expected=" or ".join(sorted(self._hosts)),
                do="start the service with --allow-host NAME for another name",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return ApiError(
                403,
                "origin",
                f"the request comes from a page of {origin[:80]!r}",
                expected="a page of this service",
            )
        if self._keys and path not in OPEN and not self._is_public(path) and not self._has_key(headers):
            return ApiError(
                401,
                "key",
                "the request has no valid API key",
                expected="the header Authorization: Bearer KEY, or X-API-Key: KEY",
            )
        return None

    def _is_public(self, path: str) -> bool:
        folders = (item for item in self._public if item.endswith("/") and item != "/")
        return path in self._public or path.startswith(tuple(folders))

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = _digest(given)
        return any(hmac.compare_digest(digest, key) for key in self._keys)


class Measure:
    """Middleware that counts requests and times them.

    Args:
        app: the application behind it.
        metrics: counters to update.
        paths: paths that are counted by name; all others count as one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.monotonic(), "gone"

        async def with_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, with_status)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
            self._metrics.requests.labels(path, method, status).inc()
            self._metrics.request_seconds.labels(path).observe(time.monotonic() - begin)


def response_of(error: ApiError) -> Response:
    """An error as a response."""
    return JSONResponse({"error": error.record()}, error.status, error.headers())


def _name(host: str) -> str:
    """Host name without port, in lower case: "[::1]:80" is "[::1]"."""
    name = host.lower()
    if name.startswith("["):
        return name[: name.find("]") + 1]
    return name.partition(":")[0]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
