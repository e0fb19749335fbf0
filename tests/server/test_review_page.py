"""The review page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from PIL import Image
from review.queue_of_posts import make_store, result, write_results
from server.browser import PHONE, Visit, visit
from server.live_app import listening

from twofold.posts import Post
from twofold.review.decisions import spans
from twofold.review.results import read_results
from twofold.review.store import ReviewStore
from twofold.server.review_app import create_review_app
from twofold.server.settings import Settings

pytestmark = pytest.mark.slow

RELATED = [{"head": 0, "tail": 2, "type": "/per/loc/place_of_residence", "confidence": 0.4}]
CURRENT = ".item.current .name"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    found = make_store(
        tmp_path,
        result("sure", 0.95),
        result("unsure", 0.9, 0.2, 0.8, relations=RELATED),
        types=["PER", "LOC", "ORG", "MISC"],
    )
    yield found
    found.close()


@pytest.fixture
def origin(store: ReviewStore) -> Iterator[str]:
    with listening(create_review_app(store, Settings())) as address:
        yield address


def begin(found: Visit, name: str = "Nora") -> None:
    found.settled("#reviewer").fill(name)
    found.page.keyboard.press("Enter")
    found.settled("#text mark")
    found.page.locator(CURRENT).wait_for()  # keys are for the current item


def wait_for_answers(found: Visit, name: str, count: int = 1) -> None:
    """Wait until ``count`` items show an answer."""
    found.page.locator(f".item .answer.{name}").nth(count - 1).wait_for()


def test_a_post_is_reviewed_with_keys_across_a_reload(browser: Any, origin: str, store: ReviewStore) -> None:
    with visit(browser, origin) as found:
        begin(found)
        page = found.page
        assert found.text("#post-id") == "Post 2, ID unsure"  # the most uncertain first
        assert "Ada Berg" in found.text(CURRENT)
        page.keyboard.press("a")
        wait_for_answers(found, "accept")
        assert "Bob" in found.text(CURRENT)
        page.keyboard.press("1")  # corrects an ORG to PER
        wait_for_answers(found, "correct")
        page.reload()
        found.settled("#text mark")
        assert "Turin" in found.text(CURRENT)
        assert page.locator(".item .answer").all_inner_texts() == ["accepted", "corrected", "open", "open"]
        page.keyboard.press("Alt+ArrowLeft")  # Turin begins a word earlier
        wait_for_answers(found, "correct", 2)
        assert "in Turin" in found.text(CURRENT)
        page.keyboard.press("u")
        page.locator("#say", has_text="Undone").wait_for()
        page.keyboard.press("r")
        wait_for_answers(found, "reject")
        assert "rejected with its entity" in found.text(".item:last-child")
        page.keyboard.press("n")  # what was missed: the words after the current item
        found.settled("mark.pending")
        page.keyboard.press("4")
        wait_for_answers(found, "add")
        page.keyboard.press("Enter")
        page.locator("#post-id", has_text="Post 1").wait_for()
        assert found.text("#progress") == "1 of 2 posts finished"
    review = store.review(1, "Nora")
    assert review.status == "finished"
    assert {(e.text, e.type) for e in review.final_entities} >= {("Ada Berg", "PER"), ("Bob", "PER")}
    assert len(spans(review)) == 3
    assert not [e for e in review.final_entities if e.type == "LOC"]


def test_an_entity_is_added_by_selecting_its_words(browser: Any, origin: str, store: ReviewStore) -> None:
    with visit(browser, origin) as found:
        begin(found)
        found.page.evaluate(
            """() => {
              const text = document.getElementById("text");
              const node = [...text.childNodes].find((one) => one.nodeType === 3 && one.data.includes("met"));
              const range = document.createRange();
              const at = node.data.indexOf("me");
              range.setStart(node, at);
              range.setEnd(node, at + 2);
              document.getSelection().addRange(range);
              text.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
            }"""
        )
        assert found.settled("mark.pending").inner_text().startswith("met")  # by whole words
        found.page.locator("#types button", has_text="MISC").click()
        wait_for_answers(found, "add")
    (added,) = (item.entity for item in store.review(1, "Nora").entities if item.predicted is None)
    assert (added.start, added.end, added.text, added.type) == (9, 12, "met", "MISC")


def test_two_reviewers_get_different_posts(browser: Any, origin: str, store: ReviewStore) -> None:
    with visit(browser, origin) as nora, visit(browser, origin) as omar:
        begin(nora, "Nora")
        begin(omar, "Omar")
        assert [nora.text("#post-id"), omar.text("#post-id")] == ["Post 2, ID unsure", "Post 1, ID sure"]
        omar.page.keyboard.press("Enter")
        omar.settled("#done")
        nora.page.keyboard.press("Enter")
        nora.settled("#done")
        nora.page.keyboard.press("u")
        nora.settled("#text mark")
    assert {number: sorted(row) for number, row in store.reviews().items()} == {0: ["Omar"]}
    assert store.review(0, "Omar").status == "finished"
    assert store.review(1, "Nora").status == "open"


def test_statistics_follow_the_decisions(browser: Any, origin: str) -> None:
    with visit(browser, origin) as found:
        begin(found)
        found.page.locator("#so-far summary").click()
        found.settled("#figures dl")
        found.page.keyboard.press("Escape")
        found.page.locator("#post-id").click()
        found.page.keyboard.press("r")
        found.page.locator("#figures", has_text="1 decided: 0 right, 0 corrected, 1 rejected").wait_for()
        assert "100 %" in found.text("#figures dd >> nth=0")


def test_on_a_phone_and_for_screen_readers(browser: Any, origin: str) -> None:
    with visit(browser, origin, viewport=PHONE, color_scheme="light", has_touch=True) as found:
        assert_accessible(found)
        begin(found)
        found.page.locator("#so-far summary").click()
        found.settled("#figures dl")
        assert found.overflow() <= 0
        assert_accessible(found)
        found.page.locator("#accept").tap()
        wait_for_answers(found, "accept")


def assert_accessible(found: Visit) -> None:
    """No serious finding in light and dark mode."""
    for scheme in ("light", "dark"):
        found.page.emulate_media(color_scheme=scheme)
        assert found.axe() == [], scheme


def test_with_an_api_key_the_page_asks_for_it(browser: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), "teal").save(photo)
    results = write_results(tmp_path / "r.jsonl", result("a", 0.9))
    post = Post("a", result()["text"], image=photo)
    store = ReviewStore.create(tmp_path / "r.review", read_results(results, [post]))
    key = "a key of 16 signs or more"
    with (
        listening(create_review_app(store, Settings(keys=(key,)))) as address,
        visit(browser, address) as found,
    ):
        found.settled("#key").fill(key)
        found.page.keyboard.press("Enter")
        begin(found)
        found.page.locator("#picture[src^='blob:']").wait_for()
        assert (
            found.page.evaluate("document.getElementById('picture').decode().then(() => 'shown')") == "shown"
        )
        assert found.text("#progress") == "0 of 1 post finished"
        found.wrong = [line for line in found.wrong if "401" not in line]
    store.close()


def test_an_error_of_the_service_is_shown(browser: Any, origin: str) -> None:
    with visit(browser, origin) as found:
        begin(found)
        found.page.route("**/v1/review/posts/*", lambda route: route.abort())
        found.page.keyboard.press("a")
        found.page.locator("#say.alarm", has_text="does not answer").wait_for()
        assert found.page.locator(".item .answer.accept").count() == 0
        found.wrong = [line for line in found.wrong if "ERR_FAILED" not in line]
