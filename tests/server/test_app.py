"""The service as a client uses it: results are those of the command line, for every format of posts."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from twofold.cli.main import main

POSTS = [
    {"id": "a", "text": "Anna Berg left paris with ACME", "alt_text": "a square"},
    {"id": 2, "text": "nothing here"},
    {"id": 3, "text": ""},
    {"id": 4, "tokens": ["Tom", "met", "Anna", "0"]},
]


def picture(colour: str = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def in_base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def form(fields: dict[str, str], files: dict[str, bytes]) -> tuple[bytes, str]:
    """A body of multipart/form-data and its content type; each file is in the field ``image``."""
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, data in files.items():
        head = f'--B\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        parts.append(f"{head}Content-Type: image/png\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + b"--B--\r\n", "multipart/form-data; boundary=B"


@pytest.fixture
def command(both, tmp_path, monkeypatch, capsys):
    """The lines that `twofold extract` prints for some posts."""

    def run(posts: list[dict], *options: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "red.png").write_bytes(picture())
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
        assert main(["extract", "in.jsonl", "--model", str(both), "-o", "out.jsonl", *options]) == 0
        return (tmp_path / "out.jsonl").read_text().splitlines()

    return run


def test_one_post_gives_the_line_of_the_command(service, command):
    for post in POSTS:
        answer = service.post(post)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert [answer.body.decode()] == command([post])


def test_many_posts_give_the_lines_of_the_command_in_order(service, command):
    lines = command(POSTS)
    assert service.post({"posts": POSTS}).json == {"results": [json.loads(line) for line in lines]}
    body = "\n".join(map(json.dumps, POSTS)).encode()
    streamed = service.post(body, Content_Type="application/x-ndjson")
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert streamed.body.decode().splitlines() == lines
    assert service.post({"posts": POSTS}, Accept="application/x-ndjson").body == streamed.body


def test_a_picture_comes_as_base64_or_as_a_part_of_a_form(service, command):
    post = {"id": 1, "text": "Anna left paris", "alt_text": "a square"}
    (line,) = command([post | {"image": "red.png"}])
    assert json.loads(line)["picture"]["status"] == "read"
    data = base64.b64encode(picture()).decode()
    for image in (in_base64(picture()), f"data:image/png;base64,{data}"):
        assert service.post(post | {"image": image}).body.decode() == line
    body, content_type = form({"text": post["text"], "alt_text": "a square"}, {"red.png": picture()})
    assert service.post(body, Content_Type=content_type).body.decode() == line
    posts = json.dumps([post | {"image": "red.png"}, POSTS[1], post | {"image": "blue.png"}])
    body, content_type = form({"posts": posts}, {"red.png": picture(), "blue.png": picture("blue")})
    first, second, third = service.post(body, Content_Type=content_type).json["results"]
    assert first == json.loads(line)
    assert second["picture"]["status"] == "none"
    assert third["picture"]["status"] == "read"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("?min_confidence=0.8", ["--min-confidence", "0.8"]),
        ("?relations=false", ["--no-relations"]),
        ("?relations=false&min_confidence=0.5", ["--no-relations", "--min-confidence", "0.5"]),
    ],
)
def test_options_are_those_of_the_command(service, command, query, options):
    lines = command(POSTS, *options)
    assert lines != command(POSTS)
    assert service.post({"posts": POSTS}, query).json["results"] == [json.loads(line) for line in lines]


def test_an_invalid_post_has_an_error_in_its_place(service):
    good, bad = POSTS[0], {"id": "b", "text": 7}
    first, second, third = service.post({"posts": [good, bad, "x"]}).json["results"]
    assert first["entities"]
    assert second["id"] == "b"
    assert second["error"]["code"] == third["error"]["code"] == "bad_post"
    assert second["error"]["where"] == "posts[1]"
    body = b"\n".join([json.dumps(good).encode(), b"{", b"", b'{"id": 1, "id": 1}', b"\xff"])
    lines = service.post(body, Content_Type="application/jsonl").lines
    assert lines[0] == first
    assert [line["error"]["code"] for line in lines[1:]] == ["bad_json"] * 4
    assert [line["error"]["where"] for line in lines[1:]] == [f"line {n}" for n in (2, 3, 4, 5)]


def test_an_unreadable_picture_is_reported_and_the_text_is_used(service):
    found = service.post({"id": 1, "text": "Anna", "image": in_base64(b"no picture")}).json
    assert found["picture"]["status"] == "unreadable"
    assert "not a picture" in found["picture"]["reason"]
    assert found["entities"]


def test_health_models_and_metrics(service):
    assert service.get("/healthz").json == {"status": "ok"}
    assert service.get("/readyz").json["status"] == "ready"
    (model,) = service.get("/v1/models").json["models"]
    assert model["types"] == ["LOC", "MISC", "ORG", "PER"]
    assert "/per/org/member_of" in model["relations"]
    service.post(POSTS[0])
    text = service.get("/metrics").body.decode()
    for name in ("twofold_posts_total", "twofold_batch_posts_bucket", "twofold_queue_posts 0.0"):
        assert name in text
    assert 'twofold_requests_total{method="POST",path="/v1/extract",status="200"}' in text
    assert "Anna" not in text
