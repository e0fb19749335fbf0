"""What the page gets about the model, and about a picture."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from server.live import Live, live

import twofold
from twofold.pipeline.extractor import Extractor
from twofold.posts import Post
from twofold.server.explanation import explanation_record, thresholds
from twofold.server.files import PAGE

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTO = EXAMPLES / "photos" / "petra.jpg"
POST = {"id": 1, "text": "Ada Berg met NASA in Paris"}


def test_the_examples_of_the_page_are_those_of_the_repository() -> None:
    with (EXAMPLES / "posts.jsonl").open(encoding="utf-8") as lines:
        known = {post["text"]: post for post in map(json.loads, lines)}
    for example in json.loads((PAGE / "examples" / "posts.json").read_text(encoding="utf-8")):
        post = known[example["text"]]
        assert example.get("alt_text") == post.get("alt_text")
        assert example.get("picture", "").rpartition("/")[2] == post.get("image", "").rpartition("/")[2]
    for photo in PAGE.glob("examples/*.jpg"):
        assert photo.read_bytes() == (EXAMPLES / "photos" / photo.name).read_bytes()


def test_thresholds_are_those_of_the_extraction() -> None:
    offered = {row["error"]: row["threshold"] for row in thresholds(twofold.load().pipeline)}
    assert 0.1 in offered
    for error, threshold in offered.items():
        risk = twofold.load(max_error=error, relation_model=False).entity_risk
        assert risk is not None
        assert threshold == risk.threshold


def test_a_model_without_risk_guarantees_offers_no_thresholds(extractor: Extractor) -> None:
    assert thresholds(extractor.pipeline) == []


def test_an_explanation_has_the_area_that_the_encoder_uses(extractor: Extractor) -> None:
    record = explanation_record(extractor.pipeline, Post(1, POST["text"], image=PHOTO))
    x0, y0, x1, y1 = record["area"]
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert (x0 + x1, y0 + y1) == pytest.approx((1, 1), abs=1e-5)
    assert [len(entity["regions"]) for entity in record["entities"]] == [2, 2, 2]
    assert record["relation_area"] == record["area"]
    assert [(r["head"], r["tail"], len(r["regions"])) for r in record["relations"]] == [
        (0, 1, 2), (0, 2, 2), (1, 2, 2)
    ]  # fmt: skip
    assert record["method"] == "occlusion"
    assert json.loads(json.dumps(record)) == record
    assert explanation_record(extractor.pipeline, Post(1, POST["text"]))["area"] is None


def explain(service: Live, body: Any, query: str = "") -> Any:
    content = json.dumps(body).encode()
    return service.ask("POST", f"/v1/explain{query}", content, {"Content-Type": "application/json"})


def test_explanations_over_http(service: Live) -> None:
    import base64

    image = {"base64": base64.b64encode(PHOTO.read_bytes()).decode()}
    answer = explain(service, POST | {"image": image})
    assert answer.status == 200
    extracted = service.post(POST | {"image": image}).json
    for kind, keys in (
        ("entities", ("start", "type", "confidence")),
        ("relations", ("head", "tail", "type", "confidence")),
    ):
        expected = [tuple(item[key] for key in keys) for item in extracted[kind]]
        assert len(expected) == 3
        assert [tuple(item[key] for key in keys) for item in answer.json[kind]] == expected
    assert service.get("/v1/page").json["types"] == ["LOC", "MISC", "ORG", "PER"]
    for body, status in (
        ([], 422),
        ({"posts": [POST]}, 422),
        ({"id": 1}, 422),
        (POST | {"image": "/etc/passwd"}, 422),
    ):
        assert explain(service, body).status == status


def test_a_relation_model_alone_explains_nothing_and_the_error_says_why(both: Path) -> None:
    with live(twofold.load(both.parent / "relations", threads=1)) as service:
        answer = explain(service, POST)
        assert (answer.status, answer.code) == (422, "bad_post")
        assert "finds no entities" in answer.json["error"]["message"]


def test_one_post_is_explained_at_a_time_even_after_its_deadline(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), []

    def work(*_: object) -> dict[str, object]:
        begun.append(1)
        gate.wait(30)
        return {}

    monkeypatch.setattr("twofold.server.app.explanation_record", work)
    try:
        assert [explain(service, POST, "?timeout=0.3").status for _ in range(3)] == [504] * 3
        assert len(begun) == 1
    finally:
        gate.set()
    assert explain(service, POST).status == 200


def test_the_page_and_its_files_are_served(service: Live) -> None:
    assert service.get("/").status == 200
    for name in ("page.css", "marks.css", "app.css", "demo.js", "view.js", "icon.svg", "examples/petra.jpg"):
        assert service.get(f"/page/{name}").status == 200
    assert service.get("/page/../app.py").status == 404
