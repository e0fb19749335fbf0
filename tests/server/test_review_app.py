"""The review over HTTP: answered and refused requests."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from PIL import Image
from review.queue_of_posts import result, write_results
from server.live_app import listening

from twofold.posts import Post
from twofold.review.results import read_results
from twofold.review.store import ReviewStore
from twofold.server.review_app import BODY, create_review_app
from twofold.server.settings import Settings


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("review")
    Image.new("RGB", (3000, 1500), "teal").save(folder / "photo.png")
    (folder / "secret.txt").write_text("secret")
    posts = [
        Post("a", result()["text"], image=folder / "photo.png", alt_text="a wall"),
        Post("b", result()["text"], image=folder / "secret.txt"),
        Post("c", result()["text"]),
    ]
    records = [result("a", 0.9, 0.4), result("b", 0.5), result("c")]
    records[0]["entities"][1]["candidates"] = ["ORG", "PER"]
    records[1]["picture"] = {"status": "unreadable", "reason": "it is no picture"}
    results = write_results(folder / "r.jsonl", *records)
    store = ReviewStore.create(folder / "r.review", read_results(results, posts), source="r.jsonl, 1")
    with listening(create_review_app(store, Settings(hosts=("127.0.0.1",)))) as address:
        yield address
    store.close()


def ask(
    origin: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=30)
    try:
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def value(answer: tuple[int, dict[str, str], bytes]) -> Any:
    assert answer[0] == 200, answer
    return json.loads(answer[2])


def test_a_reviewer_goes_through_the_queue(origin: str) -> None:
    found = value(ask(origin, "POST", "/v1/review/next", {"reviewer": "Ada"}))
    assert (found["post"]["id"], found["progress"]["posts"]) == ("a", 3)
    assert [e["candidates"] for e in found["post"]["entities"]] == [None, ["ORG", "PER"]]
    decisions = [{"about": "entity", "item": 1, "answer": "correct", "type": "PER"}, {"about": "finish"}]
    after = value(ask(origin, "POST", "/v1/review/posts/0", {"reviewer": "Ada", "decisions": decisions}))
    assert [(e["answer"], e["type"]) for e in after["post"]["entities"]] == [
        ("accept", "PER"),
        ("correct", "PER"),
    ]
    assert (after["post"]["status"], after["progress"]["mine"]) == ("finished", 1)
    undone = value(ask(origin, "POST", "/v1/review/undo", {"reviewer": "Ada"}))
    assert [e["answer"] for e in undone["post"]["entities"]] == [None, None]
    assert value(ask(origin, "POST", "/v1/review/undo", {"reviewer": "Ada"}))["post"] is None
    statistics = value(ask(origin, "GET", "/v1/review/statistics"))
    assert (statistics["entity_error"]["value"], statistics["entities"][0]["accepted"]) == (None, 3)


def test_pictures_are_sent_as_thumbnails_and_other_files_are_not(origin: str) -> None:
    status, headers, content = ask(origin, "GET", "/v1/review/posts/0/picture")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1024, 512))
    for number in (1, 2):  # a file that is not a picture, and no picture
        status, _, content = ask(origin, "GET", f"/v1/review/posts/{number}/picture")
        assert (status, b"secret" in content) == (404, False)
    shown = value(ask(origin, "POST", "/v1/review/next", {"reviewer": "Bo", "after": [0]}))["post"]
    assert (shown["picture"], shown["picture_note"]) == (None, "it is no picture")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/review/next", {}, 422),
        ("POST", "/v1/review/next", {"reviewer": 1}, 422),
        ("POST", "/v1/review/next", {"reviewer": " "}, 422),
        ("POST", "/v1/review/next", {"reviewer": "a", "after": ["1"]}, 422),
        ("POST", "/v1/review/next", b"{", 400),
        ("POST", "/v1/review/next", b"[" * 100_000, 400),
        ("POST", "/v1/review/next", b"[]", 422),
        ("POST", "/v1/review/next", b" " * (BODY + 1), 413),
        ("POST", "/v1/review/posts/0", {"reviewer": "a"}, 422),
        ("POST", "/v1/review/posts/0", {"reviewer": "a", "decisions": []}, 422),
        ("POST", "/v1/review/posts/0", {"reviewer": "a", "decisions": [{"about": "x"}]}, 422),
        ("POST", "/v1/review/posts/99", {"reviewer": "a", "decisions": [{"about": "finish"}]}, 422),
        ("POST", "/v1/review/posts/-1", {"reviewer": "a", "decisions": [{"about": "finish"}]}, 404),
        ("GET", "/v1/review/posts/99/picture", None, 422),
        ("GET", "/v1/review/next", None, 405),
        ("GET", "/page/../review_app.py", None, 404),
        ("GET", "/page/%2e%2e/review_app.py", None, 404),
        ("GET", "/nothing", None, 404),
    ],
)
def test_refused_requests(origin: str, method: str, path: str, body: Any, status: int) -> None:
    assert ask(origin, method, path, body)[0] == status


def test_other_origins_hosts_and_encodings_are_refused(origin: str) -> None:
    body = {"reviewer": "a"}
    assert ask(origin, "POST", "/v1/review/next", body, Origin="http://evil.example")[0] == 403
    assert ask(origin, "POST", "/v1/review/next", body, Content_Type="text/plain")[0] == 415
    assert ask(origin, "POST", "/v1/review/next", body, Content_Encoding="gzip")[0] == 415
    assert ask(origin, "GET", "/v1/review", Host="evil.example")[0] == 421


def test_the_page_allows_only_its_own_scripts(origin: str) -> None:
    status, headers, content = ask(origin, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    page = content.decode()
    assert "style=" not in page
    assert "onclick" not in page
    for name in ("page.css", "marks.css", "app.css", "review.js", "view.js"):
        status, headers, _ = ask(origin, "GET", f"/page/{name}")
        assert (status, headers["cache-control"]) == (200, "no-cache")


def test_files_of_the_page_name_no_other_host() -> None:
    folder = Path(__file__).parents[2] / "src" / "twofold" / "server" / "page"
    for file in folder.glob("*.*"):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name
