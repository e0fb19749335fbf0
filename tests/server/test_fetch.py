"""Pictures at web addresses: only public servers are contacted, at the address that was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from twofold.errors import PictureError
from twofold.server.fetch import PictureFetcher

PUBLIC = "93.184.215.14"
PICTURE = b"\x89PNG picture"


class Web:
    """A fake internet: names with their addresses, and one server on this machine behind all of them.

    Args:
        names: addresses of each name, one list for each time it is resolved; the last is used again.
        answer: returns the bytes that the server sends, from the head of a request.
    """

    def __init__(self, names: dict[str, list[list[str]]], answer: Callable[[str], bytes]) -> None:
        self.names, self.answer = names, answer
        self.resolved: list[str] = []
        self.connected: list[tuple[str, int, str | None]] = []
        self.heads: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        if host not in self.names:
            raise OSError("no such host")
        lists = self.names[host]
        return lists.pop(0) if len(lists) > 1 else lists[0]

    async def connect(self, address: str, port: int, name: str | None):
        self.connected.append((address, port, name))
        return await asyncio.open_connection("127.0.0.1", self.port)

    @asynccontextmanager
    async def running(self):
        running = set()

        async def serve(reader, writer):
            running.add(asyncio.current_task())
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                for part in self.parts(head):
                    if isinstance(part, float):
                        await asyncio.sleep(part)
                    else:
                        writer.write(part)
                        await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                await asyncio.sleep(0.01)

    def parts(self, head: str):
        found = self.answer(head)
        return [found] if isinstance(found, bytes) else found


def ok(body: bytes = PICTURE, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(place: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()


def fetch(web: Web, url: str, **limits) -> bytes:
    async def run() -> bytes:
        async with web.running():
            fetcher = PictureFetcher(
                limits.pop("most", 1000), resolve=web.resolve, connect=web.connect, **limits
            )
            return await fetcher.fetch(url)

    return asyncio.run(run())


def refused(web: Web, url: str, **limits) -> str:
    with pytest.raises(PictureError) as caught:
        fetch(web, url, **limits)
    return str(caught.value)


def one_host(answer: Callable[[str], bytes] = lambda head: ok(), host: str = "pictures.example") -> Web:
    return Web({host: [[PUBLIC]]}, answer)


def test_the_request_goes_to_the_checked_address_with_the_host_name():
    web = one_host()
    assert fetch(web, "http://pictures.example/a/b.png?c=d#e") == PICTURE
    assert web.connected == [(PUBLIC, 80, None)]
    (head,) = web.heads
    assert head.startswith("GET /a/b.png?c=d HTTP/1.1\r\n")
    assert "host: pictures.example\r\n" in head.lower()
    for name in ("cookie", "authorization", "referer"):
        assert name not in head.lower()


def test_https_uses_the_host_name_for_tls():
    web = one_host()
    assert fetch(web, "https://pictures.example/") == PICTURE
    assert web.connected == [(PUBLIC, 443, "pictures.example")]


def test_dns_rebinding_has_no_effect():
    web = Web({"evil.example": [[PUBLIC], ["127.0.0.1"]]}, lambda head: ok())
    assert fetch(web, "http://evil.example/") == PICTURE
    assert web.resolved == ["evil.example"]
    assert [address for address, *_ in web.connected] == [PUBLIC]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:169.254.169.254"], ["fd00::1"], ["100.64.1.1"], []],
)
def test_a_host_with_an_address_that_is_not_public_is_not_contacted(addresses):
    web = Web({"evil.example": [addresses]}, lambda head: ok())
    assert "not public" in refused(web, "http://evil.example/")
    assert web.connected == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost",
     "169.254.169.254", "[fd00:ec2::254]", "0", "localhost."],
)  # fmt: skip
def test_every_notation_of_a_local_address_is_refused(host):
    web = one_host()

    async def run() -> None:
        async with web.running():
            await PictureFetcher(1000, connect=web.connect).fetch(f"http://{host}/")

    with pytest.raises(PictureError):
        asyncio.run(run())
    assert web.connected == []


def test_each_redirect_is_checked():
    names = {"a.example": [[PUBLIC], ["127.0.0.1"]], "b.example": [["198.41.0.4"]]}
    places = iter(["https://b.example/x", "y.png"])

    def answer(head: str) -> bytes:
        place = next(places, "")
        return redirect(place) if place else ok()

    web = Web(names, answer)
    assert fetch(web, "http://a.example/") == PICTURE
    assert web.connected == [
        (PUBLIC, 80, None), ("198.41.0.4", 443, "b.example"), ("198.41.0.4", 443, "b.example")
    ]  # fmt: skip
    assert web.heads[2].startswith("GET /y.png ")


@pytest.mark.parametrize(
    "place",
    ["http://127.0.0.1/", "http://internal.example/", "file:///etc/passwd", "http://a.example:22/",
     "//[::1]/", "gopher://a.example/", "http://a.example/"],
)  # fmt: skip
def test_a_redirect_must_not_lead_to_a_forbidden_address(place):
    names = {"a.example": [[PUBLIC], ["10.0.0.1"]], "internal.example": [["10.0.0.2"]]}
    names |= {host: [[host]] for host in ("127.0.0.1", "::1")}
    web = Web(names, lambda head: redirect(place))
    refused(web, "http://a.example/")
    assert web.connected == [(PUBLIC, 80, None)]


def test_redirects_are_limited():
    web = one_host(lambda head: redirect("/again"))
    assert "more than 3 times" in refused(web, "http://pictures.example/")
    assert len(web.connected) == 4


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@pictures.example/", "http://pictures.example@127.0.0.1/", "http://[::1",
        "http://a b/", "http://pictures.example:8080/", "http://pictures.example:x/", "http:///a",
        "ftp://pictures.example/",
        "http://pictures.example/\r\nX: y", "http://pictures.example\\@127.0.0.1/", "http://bücher.example/",
        "http://pictures.example/" + "a" * 2000, "http://[fe80::1%25eth0]/", "http://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
def test_forbidden_addresses_are_not_contacted(url):
    web = one_host()
    web.names["127.0.0.1"] = [["127.0.0.1"]]
    refused(web, url)
    assert web.connected == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ok(b"x" * 1001), "more than 1,000 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 1024,
            "more than 1,000",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "more than 1,000 bytes"),
        (ok(PICTURE, "Content-Encoding: gzip"), "compressed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "does not speak HTTP"),
        (b"", "closed the connection"),
    ],
)
def test_responses_that_are_refused(answer, reason):
    assert reason in refused(one_host(lambda head: answer), "http://pictures.example/")


def test_a_slow_server_times_out_even_while_it_sends():
    drops = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", *[0.05, b"x"] * 100]
    assert "more than 0.3 seconds" in refused(
        one_host(lambda head: drops), "http://pictures.example/", seconds=0.3
    )


def test_an_unknown_host():
    assert "not known" in refused(one_host(), "http://nowhere.example/")
