"""Fetches pictures from web addresses that clients send, from public servers only.

A host name is resolved once; each of its addresses must be public, and the connection goes to one of these
addresses, with the name in the Host header and for TLS. So a name that resolves to another address the
second time (DNS rebinding) gains nothing. Each redirect is checked in the same way. Bytes, time, redirects
and connections are limited. Proxies and environment variables are ignored, nothing is decompressed, no
cookie or credential is sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import h11

from twofold.errors import PictureError
from twofold.server.addresses import is_public
from twofold.version import __version__

Resolve = Callable[[str, int], Awaitable[list[str]]]
Connect = Callable[[str, int, str | None], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_HEAD = 32 * 1024
_LONGEST = 2000
_EXPECTED = "a picture at a public http or https address"


@dataclass(frozen=True, slots=True)
class _Target:
    """A checked web address: where to connect, and what to request."""

    host: str
    header: str
    port: int
    path: str
    tls: bool


class PictureFetcher:
    """Fetches pictures.

    Args:
        most: maximum bytes of a picture.
        seconds: time limit for a picture, redirects included.
        redirects: maximum redirects for a picture.
        connections: pictures fetched at the same time.
        resolve: returns the addresses of a host; None for the resolver of the system.
        connect: opens a connection to an address and port, with TLS for a host name where one is given.
    """

    def __init__(
        self,
        most: int,
        seconds: float = 10.0,
        redirects: int = 3,
        connections: int = 16,
        resolve: Resolve | None = None,
        connect: Connect | None = None,
    ) -> None:
        self._most, self._seconds, self._redirects = most, seconds, redirects
        self._free = asyncio.Semaphore(connections)
        self._resolve, self._connect = resolve or _resolve, connect or _connect

    async def fetch(self, url: str) -> bytes:
        """The bytes at a web address.

        Raises:
            PictureError: the address is not allowed, or the server did not send the bytes.
        """
        async with self._free:
            try:
                return await asyncio.wait_for(self._follow(url), self._seconds)
            except asyncio.TimeoutError as error:
                raise _refused(f"its server took more than {self._seconds:g} seconds") from error

    async def _follow(self, url: str) -> bytes:
        for _ in range(self._redirects + 1):
            target = _target(url)
            address = await self._address(target)
            found = await self._request(target, address)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise _refused(f"its server redirects more than {self._redirects} times")

    async def _address(self, target: _Target) -> str:
        try:
            addresses = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise _refused("its host is not known") from error
        if not addresses or not all(map(is_public, addresses)):
            raise _refused("its host has an address that is not public, so it was not contacted")
        return addresses[0]

    async def _request(self, target: _Target, address: str) -> bytes | str:
        """The bytes, or the address of a redirect."""
        try:
            reader, writer = await self._connect(address, target.port, target.host if target.tls else None)
        except (OSError, ssl.SSLError) as error:
            raise _refused("its server cannot be reached") from error
        try:
            return await _Exchange(reader, writer, self._most).get(target)
        except (OSError, ssl.SSLError, h11.RemoteProtocolError) as error:
            raise _refused("its server closed the connection, or does not speak HTTP") from error
        finally:
            writer.transport.abort()


class _Exchange:
    """One request and its response on a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> None:
        self._reader, self._writer, self._most = reader, writer, most
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)

    async def get(self, target: _Target) -> bytes | str:
        """The body, or the address of a redirect."""
        headers = [
            ("Host", target.header),
            ("User-Agent", f"twofold/{__version__}"),
            ("Accept", "image/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        request = h11.Request(method="GET", target=target.path, headers=headers)
        self._writer.write(self._connection.send(request) or b"")
        self._writer.write(self._connection.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()
        response = await self._next()
        while isinstance(response, h11.InformationalResponse):
            response = await self._next()
        assert isinstance(response, h11.Response)
        received = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        if response.status_code in _REDIRECTS and "location" in received:
            return received["location"]
        if response.status_code != 200:
            raise _refused(f"its server answered {response.status_code}")
        if received.get("content-encoding", "identity") != "identity":
            raise _refused("its server sent it compressed")
        length = received.get("content-length", "0")
        if length.isdigit() and int(length) > self._most:
            raise self._too_large()
        return await self._body()

    async def _body(self) -> bytes:
        body = bytearray()
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if len(body) > self._most:
                raise self._too_large()
        return bytes(body)

    async def _next(self) -> h11.Event:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(await self._reader.read(1 << 16))
        if isinstance(event, (h11.ConnectionClosed, type)):  # `type`: h11.PAUSED
            raise _refused("its server closed the connection")
        return event

    def _too_large(self) -> PictureError:
        return _refused(f"it has more than {self._most:,} bytes")


def _target(url: str) -> _Target:
    """The parts of a web address.

    Raises:
        PictureError: the address is not allowed.
    """
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        raise _refused("its web address has characters that are not allowed, or is too long")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise _refused("its web address cannot be read") from error
    if parts.scheme not in _PORTS:
        raise _refused(f"its web address has the scheme {parts.scheme[:20]!r}")
    default = _PORTS[parts.scheme]
    if not host or "@" in parts.netloc or "%" in host:
        raise _refused("its web address has no host, or more than a host name")
    if port not in (None, default):
        raise _refused(f"its web address has the port {port}, and only {default} is allowed")
    path = parts.path or "/"
    query = f"?{parts.query}" if parts.query else ""
    header = f"[{host}]" if ":" in host else host
    return _Target(host, header, default, path + query, parts.scheme == "https")


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def _connect(
    address: str, port: int, name: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if name is None:
        return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(
        address, port, ssl=ssl.create_default_context(), server_hostname=name
    )


def _refused(what: str) -> PictureError:
    return PictureError(f"the picture was not fetched: {what}", expected=_EXPECTED)
