"""Pictures at web addresses in requests, where the service allows them."""

from __future__ import annotations

import pytest
from server.live import live
from server.test_app import form, picture

from twofold.server.fetch import PictureFetcher
from twofold.server.settings import Limits, Settings

POST = {"id": 1, "text": "Anna left paris"}


@pytest.fixture(scope="module")
def fetching(extractor):
    """A service that fetches pictures from a fake internet."""
    limits = Limits(pixels=10_000)
    with live(extractor, Settings(limits=limits, fetch_pictures=True)) as service:
        pictures = {"/red.png": picture(), "/large.png": picture(size=(200, 100))}

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"] if host == "evil.example" else ["93.184.215.14"]

        class FakeFetcher(PictureFetcher):
            async def _request(self, target, address):
                assert address == "93.184.215.14"
                return pictures.get(target.path, "http://evil.example/")

        service.service.fetcher = FakeFetcher(limits.picture, resolve=resolve)
        yield service


def test_a_fetched_picture_is_used_like_one_in_the_request(fetching):
    fetched = fetching.post(POST | {"image": "https://a.example/red.png"})
    body, content_type = form({"text": POST["text"]}, {"red.png": picture()})
    assert fetched.body == fetching.post(body, Content_Type=content_type).body
    assert fetched.json["picture"]["status"] == "read"
    assert fetching.service.budget.held == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://evil.example/red.png", "not public"),
        ("https://a.example/elsewhere", "not public"),
        ("http://127.0.0.1@a.example/", "more than a host"),
        ("https://a.example/large.png", "too large"),
    ],
)
def test_a_picture_that_cannot_be_fetched_is_reported_and_the_text_is_used(fetching, url, reason):
    results = fetching.post({"posts": [POST | {"image": url}, POST]}).json["results"]
    assert results[0]["picture"]["status"] == "unreadable"
    assert reason in results[0]["picture"]["reason"]
    assert results[0]["entities"]
    assert results[1]["picture"]["status"] == "none"


def test_paths_are_refused_by_a_service_that_fetches_pictures(fetching):
    assert fetching.post(POST | {"image": "/etc/passwd"}).code == "picture_path"
