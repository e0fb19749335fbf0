"""Invalid requests: each case has its status, its code and a message."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from corpora.test_jsonl import NOT_A_POST, WRONG_FIELD
from PIL import Image
from server.live import live
from server.test_app import form, in_base64, picture

from twofold.pipeline.extractor import load
from twofold.server.settings import Limits, Settings
from twofold.server.variants import Options

KEY = "a-key-of-some-length"
POST = {"id": 1, "text": "Anna left paris"}


@pytest.fixture(scope="module")
def small(extractor):
    """A service with low limits."""
    limits = Limits(
        body=20_000, held=50_000, picture=5_000, pixels=10_000, posts=5, characters=100, queue=5,
        body_seconds=0.5, head_seconds=0.5,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twofold.server.run._SWEEP", 0.2)  # seconds; finds hanging connections quickly
        with live(extractor, Settings(limits=limits, keys=(KEY, "another-key-of-mine"))) as running:
            yield running


def with_key(service, value: object, query: str = "", **headers: str):
    return service.post(value, query, X_API_Key=KEY, **headers)


# --- posts: the cases of the command line, through HTTP ------------------------------------------------


@pytest.mark.parametrize(
    ("post", "code"),
    [
        ({"text": "no id"}, "bad_post"),
        ({"id": None, "text": "x"}, "bad_post"),
        ({"id": 1.5, "text": "x"}, "bad_post"),
        ({"id": True, "text": "x"}, "bad_post"),
        ({"id": [1], "text": "x"}, "bad_post"),
        ({"id": 1}, "bad_post"),
        ({"id": 1, "text": None}, "bad_post"),
        ({"id": 1, "text": 5}, "bad_post"),
        ({"id": 1, "text": ["a"]}, "bad_post"),
        ({"id": 1, "text": "half \ud83d pair"}, "bad_post"),
        ({"id": "\udc00", "text": "x"}, "bad_post"),
        ({"id": 1, "tokens": ["a", ""]}, "bad_post"),
        ({"id": 1, "tokens": "a b"}, "bad_post"),
        ({"id": 1, "text": "a b", "tokens": ["a", "c"]}, "bad_post"),
        ({"id": 1, "text": "x", "alt_text": 5}, "bad_post"),
        ({"id": 1, "text": "x", "image": 5}, "bad_post"),
        ({"id": 1, "text": "x", "image": ["a.jpg"]}, "bad_post"),
        ({"id": 1, "text": "x", "image": {}}, "bad_post"),
        ({"id": 1, "text": "x", "image": {"path": "/etc/passwd"}}, "bad_post"),
        ({"id": 1, "text": "x", "image": {"bytes": None, "path": "/etc/passwd"}}, "bad_post"),
        ({"id": 1, "text": "x", "image": {"base64": "???"}}, "bad_post"),
        ({"id": 1, "text": "x", "image": {"base64": 5}}, "bad_post"),
        ({"id": 1, "text": "x", "image": "data:image/png,raw"}, "bad_post"),
        ({"id": 1, "text": "x", "image": "data:image/png;base64,?"}, "bad_post"),
        ({"id": 1, "text": "x", "image": "photo.jpg"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "/etc/passwd"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "../../etc/passwd"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "file:///etc/passwd"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "\\\\host\\share\\a.jpg"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "ftp://host/a.jpg"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "a\u0000b"}, "picture_path"),
        ({"id": 1, "text": "x", "image": "http://example.com/a.jpg"}, "picture_address"),
        ({"id": 1, "text": "x", "image": "HTTPS://127.0.0.1/a.jpg"}, "picture_address"),
        ({"id": 1, "text": "x", "entities": [{"start": 0, "end": 9, "type": "PER"}]}, "bad_post"),
        ({"id": 1, "text": "x", "entities": [5]}, "bad_post"),
        ({"id": 1, "text": "x", "regions": [{"box": [0, 0, 2, 2]}]}, "bad_post"),
    ],
)
def test_invalid_posts(service, post, code):
    answer = service.post(post)
    assert (answer.status, answer.code) == (422, code)
    (item,) = service.post({"posts": [post]}).json["results"]
    assert item["error"] == answer.json["error"] | {"where": "posts[0]"}
    message = json.dumps(answer.json)
    assert "path" not in answer.json["error"].get("do", "")
    assert "/work" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "post",
    [
        {"id": 1, "text": ""}, {"id": 1, "text": " \n\t "}, {"id": 1, "text": "😀👩‍👩‍👧"},
        {"id": -5, "text": "\u0000\u202e"},
        {"id": 10**400, "text": "x"}, {"id": "", "text": "x" * 9999}, {"id": 1, "text": "x", "image": ""},
        {"id": 1, "text": "x", "image": None, "alt_text": None, "more": {"a": [1]}}, {"id": 1, "tokens": []},
        {"id": 1, "text": "x", "image": {"base64": ""}},
    ],
)  # fmt: skip
def test_unusual_posts_are_accepted(service, post):
    answer = service.post(post)
    assert answer.status == 200
    assert answer.json["id"] == post["id"]
    assert answer.json["text"] == post.get("text", "")


def test_every_invalid_line_of_a_file_has_an_error_in_its_place(service):
    cases = [*NOT_A_POST, *WRONG_FIELD]
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line, _ in cases]
    found = service.post(b"\n".join(lines), Content_Type="application/x-ndjson").lines
    assert len(found) == len(cases)
    for number, (line, (_, reason), answer) in enumerate(zip(lines, cases, found, strict=True), 1):
        error = answer["error"]
        assert error["where"] == f"line {number}"
        if error["code"] not in ("picture_path", "picture_address"):  # which have other messages
            assert reason.replace("the line holds", "the post is") in error["message"], line[:80]


# --- bodies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_json"),
        (b"{", 400, "bad_json"),
        (b"\xff\xfe{}", 400, "bad_json"),
        (b'{"id": 1, "id": 2, "text": "x"}', 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "bad_json"),
        (b'{"id": ' + b"9" * 5000 + b', "text": "x"}', 400, "bad_json"),
        (b"[]", 422, "bad_body"),
        (b"null", 422, "bad_body"),
        (b'"a text"', 422, "bad_body"),
        (b'{"posts": {}}', 422, "bad_posts"),
        (b'{"posts": null}', 422, "bad_posts"),
        (b'{"posts": [], "min_confidence": 0.5}', 422, "unknown_key"),
        (b"{}", 422, "bad_post"),
    ],
)
def test_bodies_without_valid_posts(service, body, status, code):
    answer = service.post(body)
    assert (answer.status, answer.code) == (status, code)


def test_a_deeply_nested_unknown_key_is_ignored(service):
    deep = b'{"id": 1, "text": "Anna", "more": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert service.post(deep).json["entities"]


def test_no_posts_have_no_results(service):
    assert service.post({"posts": []}).json == {"results": []}
    assert service.post(b"", Content_Type="application/x-ndjson").body == b""


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "image/png", "", "x", "\u00e9"])
def test_content_types_that_are_not_supported(service, content_type):
    answer = service.post(POST, Content_Type=content_type)
    assert (answer.status, answer.code) == (415, "content_type")
    assert "application/json" in answer.json["error"]["expected"]


def test_a_content_type_may_have_parameters(service):
    assert service.post(POST, Content_Type="Application/JSON; charset=utf-8").status == 200


def test_a_compressed_body_is_refused(service):
    answer = service.post(b"\x1f\x8b", Content_Encoding="gzip")
    assert (answer.status, answer.code) == (415, "content_encoding")


@pytest.mark.parametrize(
    "query",
    ["?min_confidence=2", "?min_confidence=nan", "?min_confidence=x", "?max_error=0", "?max_error=1.5",
     "?coverage=0.1", "?mentions=all", "?hashtags=", "?timeout=0", "?timeout=-1", "?timeout=inf",
     "?min_confidense=0.5", "?relations=maybe", "?min_confidence=", "?convention=" + "a" * 300],
)  # fmt: skip
def test_invalid_options(service, query):
    answer = service.post(POST, query)
    assert (answer.status, answer.code) == (422, "bad_option")
    assert query[1:].partition("=")[0] in answer.json["error"]["message"]


@pytest.mark.parametrize("query", ["?max_error=0.05", "?coverage=0.9", "?convention=x", "?mentions=none"])
def test_options_that_this_model_does_not_have(service, query):
    answer = service.post(POST, query)
    assert (answer.status, answer.code) == (422, "bad_option")
    assert answer.json["error"]["where"] == "the query string"  # and not a folder of this machine


def test_requests_for_relations_are_refused_without_a_relation_model(extractor, service, both):
    assert service.post(POST, "?relations=true").status == 200
    for model in (load(both, threads=1, relation_model=False), load(both.parent / "tagger", threads=1)):
        with live(model, options=Options(relations=False)) as without:
            assert without.post(POST, "?relations=false").status == without.post(POST).status == 200
            for query in ("?relations=true", "?max_relation_error=0.1"):
                answer = without.post(POST, query)
                assert (answer.status, answer.code) == (422, "bad_option")
                assert "--no-relations" in answer.json["error"]["do"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods(service, method):
    answer = service.ask(method, "/v1/extract")
    assert (answer.status, answer.code) == (405, "http")


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/extract/", "/docs", "/page/../app.py", "/page/%2e%2e/app.py", "//etc/passwd", "/%00"]
)
def test_other_paths(service, path):
    answer = service.get(path)
    assert answer.status in (404, 405)
    assert "import" not in answer.body.decode()


# --- forms ---------------------------------------------------------------------------------------------


def test_invalid_forms(service):
    body, content_type = form({"text": "Anna"}, {"a.png": picture()})
    cases = {
        (b"", content_type): 400,
        (body, "multipart/form-data"): 400,
        (body, "multipart/form-data; boundary="): 400,
        (body, "multipart/form-data; boundary=other"): 400,
        (body, "multipart/form-data; boundary=" + "x" * 5000): 400,
        (body[:-20], content_type): 400,
        (b"--B\r\n\r\nno name\r\n--B--\r\n", content_type): 400,
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n", content_type): 400,
        (b"--B\r\n" + b"X: y\r\n" * 5000 + b"\r\n--B--\r\n", content_type): 400,
    }
    for (data, given), status in cases.items():
        answer = service.post(data, Content_Type=given)
        assert (answer.status, answer.code) == (status, "bad_form"), (data[:60], given[:60])


def test_forms_with_the_wrong_fields(service):
    cases = [
        ({"text": "Anna", "more": "x"}, {}),
        ({"text": "Anna"}, {"a.png": picture(), "b.png": picture()}),
        ({"posts": "[]", "text": "Anna"}, {}),
        ({"text": "Anna", "image": "data:image/png;base64,AAAA"}, {"a.png": picture()}),
    ]
    for fields, files in cases:
        body, content_type = form(fields, files)
        answer = service.post(body, Content_Type=content_type)
        assert (answer.status, answer.code) == (422, "bad_form"), fields
    body, content_type = form({"posts": json.dumps([POST | {"image": "../a.png"}])}, {"a.png": picture()})
    (item,) = service.post(body, Content_Type=content_type).json["results"]
    assert item["error"]["code"] == "picture_path"
    body, content_type = form({"posts": "["}, {})
    assert service.post(body, Content_Type=content_type).status == 400


# --- limits --------------------------------------------------------------------------------------------


def test_limits_of_a_request(small):
    long = {"id": 1, "text": "x" * 101}
    wide = io.BytesIO()
    Image.new("1", (101, 100)).save(wide, "PNG")
    noise = io.BytesIO()
    Image.effect_noise((90, 90), 90).save(noise, "PNG")
    cases = [
        (long, "text_too_long"),
        ({"id": 1, "text": "x", "alt_text": "y" * 100}, "text_too_long"),
        ({"posts": [POST] * 6}, "too_many_posts"),
        (POST | {"image": in_base64(b"x" * 6000)}, "picture_too_large"),
        (POST | {"image": in_base64(noise.getvalue())}, "picture_too_large"),
        (POST | {"image": in_base64(wide.getvalue())}, "picture_too_large"),
        (b" " * 20_001, "body_too_large"),
    ]
    for value, code in cases:
        answer = with_key(small, value)
        assert (answer.status, answer.code) == (413, code)
        assert "expected" in answer.json["error"] or "do" in answer.json["error"]
    lines = b"\n".join([json.dumps(POST).encode()] * 6)
    assert with_key(small, lines, Content_Type="application/x-ndjson").code == "too_many_posts"
    results = with_key(small, {"posts": [long, POST]}).json["results"]
    assert results[0]["error"]["code"] == "text_too_long"
    assert results[1]["entities"]
    assert small.service.budget.held == 0


def test_keys(small):
    for headers in (
        {}, {"X_API_Key": KEY[:-1]}, {"X_API_Key": ""}, {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY}, {"Authorization": "Bearer"}, {"Authorization": "Bearer \u00fc"},
        {"Cookie": f"X-API-Key={KEY}"},
    ):  # fmt: skip
        answer = small.post(POST, **headers)
        assert (answer.status, answer.code) == (401, "key"), headers
        assert answer.headers["www-authenticate"] == "Bearer"
    for headers in ({"X_API_Key": KEY}, {"Authorization": "bearer another-key-of-mine"}):
        assert small.post(POST, **headers).status == 200
    assert [small.get(path).status for path in ("/healthz", "/readyz", "/openapi.json")] == [200] * 3
    assert [small.get(path).status for path in ("/metrics", "/v1/models", "/nowhere")] == [401] * 3


def test_hosts_and_origins(extractor):
    with live(extractor, Settings(hosts=("localhost", "127.0.0.1", "[::1]"))) as service:
        for host in ("localhost", "LOCALHOST:1234", f"127.0.0.1:{service.port}", "[::1]:80"):
            assert service.post(POST, Host=host).status == 200
        for host in ("evil.example", "localhost.evil.example", "", "[::2]", "127.0.0.1.evil.example:80"):
            assert (service.post(POST, Host=host).status) == 421, host
        own = f"http://127.0.0.1:{service.port}"
        assert service.post(POST, Origin=own).status == 200
        for origin in ("http://evil.example", "null", f"{own}0", "http://127.0.0.1"):
            assert service.post(POST, Origin=origin).code == "origin", origin


def test_responses_have_security_headers(service):
    headers = service.post({"id": 1, "text": "<script>alert(1)</script>"}).headers
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


# --- connections ---------------------------------------------------------------------------------------


@contextmanager
def connected(service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        yield connection


def head(length: int | str, *more: str) -> bytes:
    lines = [
        "POST /v1/extract HTTP/1.1", "Host: localhost", f"X-API-Key: {KEY}", "Content-Type: application/json",
        f"Content-Length: {length}", *more, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def all_of(connection: socket.socket) -> bytes:
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def test_a_body_that_does_not_arrive_times_out(small):
    with connected(small) as connection:
        connection.sendall(head(100) + b'{"id"')
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    small.wait_until(lambda: small.service.budget.held == 0)


def test_a_head_that_does_not_arrive_times_out(small):
    begin = time.monotonic()
    with connected(small) as silent, connected(small) as slow:
        slow.sendall(b"POST /v1/extract HTTP/1.1\r\nHost: ")
        assert all_of(silent) == all_of(slow) == b""
    assert time.monotonic() - begin < 15


def test_an_answer_that_the_client_does_not_read_times_out(small):
    with connected(small) as connection:  # 17 MB, more than the buffers between the two hold
        connection.sendall(b"GET /page/examples/colosseum.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n" * 300)
        small.wait_until(lambda: small.connections)
        small.wait_until(lambda: not small.connections)
    assert small.get("/healthz").status == 200


def test_a_body_longer_than_its_declared_length_and_one_without_length(small):
    with connected(small) as connection:
        connection.sendall(head(5) + json.dumps(POST).encode())
        assert b" 400 " in connection.recv(65536).splitlines()[0]
    with connected(small) as connection:
        chunked = head("0").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        connection.sendall(chunked + (b"1000\r\n" + b" " * 0x1000 + b"\r\n") * 6)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/99\r\n\r\n", head("-1"), head("1e3"),
        head("5\r\nContent-Length: 6"), head("5", "Transfer-Encoding: chunked") + b"zz\r\n",
        head("5", "X: a\x00b"), head("5", " folded: x"), head("5", "A" * 70_000), head("5", "Host: other"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=range(12),
)  # fmt: skip
def test_malformed_heads_are_refused(small, request_):
    with connected(small) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        found = all_of(connection)
        assert found == b"" or found.split()[1] in (b"400", b"401", b"404", b"413")
    assert small.get("/healthz").status == 200


def test_a_client_that_closes_its_connection_affects_no_other(small):
    body = json.dumps(POST).encode()
    for sent in (head(len(body)) + body, head(len(body)) + body[:5]):
        with connected(small) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            all_of(connection)
        with connected(small) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    small.wait_until(lambda: small.service.budget.held == 0)
    assert with_key(small, POST).status == 200


def test_several_requests_on_one_connection(service):
    body = json.dumps(POST).encode()
    with connected(service) as connection:
        connection.sendall((head(len(body)) + body) * 3 + head(len(body), "Connection: close") + body)
        assert all_of(connection).count(b"HTTP/1.1 200 ") == 4


def test_the_total_size_of_bodies_is_limited(small):
    with connected(small) as first, connected(small) as second:
        for connection in (first, second):
            connection.sendall(head(20_000) + b" ")
        small.wait_until(lambda: small.service.budget.held == 40_000)
        answer = with_key(small, b" " * 15_000)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "busy", "1")
    small.wait_until(lambda: small.service.budget.held == 0)
