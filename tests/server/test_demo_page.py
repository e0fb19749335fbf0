"""The page at ``/`` in a real browser, over the service with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from server.browser import PHONE, Visit, visit
from server.live import live

from twofold import server
from twofold.pipeline.extractor import Extractor

pytestmark = pytest.mark.slow

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "petra.jpg"
POST = "Ada Berg met Bob of NASA in Paris"


@pytest.fixture(scope="module")
def origin(extractor: Extractor) -> Iterator[str]:
    with live(extractor) as service:
        yield f"http://127.0.0.1:{service.port}"


PAUSE, SHORT = 500, 60
"""Milliseconds from the last key to the extraction: of the page, and in these tests."""
SHORT_PAUSE = f"""
const wait = window.setTimeout;
window.setTimeout = (run, pause, ...more) => wait(run, pause === {PAUSE} ? {SHORT} : pause, ...more);
"""


def open_page(browser: Any, origin: str, **options: Any) -> AbstractContextManager[Visit]:
    """Visit the page, with a short pause before the extraction."""
    return visit(browser, origin, script=SHORT_PAUSE, **options)


def extract(found: Visit, text: str = POST, picture: Path | None = PHOTO, alt: str = "") -> None:
    """Type a post and wait until it is extracted and explained."""
    found.settled("#examples button")
    idle(found)
    if picture is not None:
        if found.page.locator("#remove").is_visible():
            found.page.locator("#remove").click()
        found.page.locator("#file").set_input_files(picture)
    elif found.page.locator("#remove").is_visible():
        found.page.locator("#remove").click()
    found.page.locator("#alt").fill(alt)
    found.page.locator("#text").fill(text)
    found.page.keyboard.press("Control+Enter")
    found.page.locator("#marked", has_text=text.split()[0]).wait_for()
    idle(found)


def idle(found: Visit) -> None:
    found.page.wait_for_timeout(3 * SHORT)
    found.page.locator("#reading:not([aria-busy])").wait_for()


def marks(found: Visit) -> list[str]:
    return [text.replace("\n", " ").strip() for text in found.page.locator("#marked mark").all_inner_texts()]


def heat(found: Visit) -> str:
    found.settled("#heat")
    return str(found.page.evaluate("document.getElementById('heat').toDataURL()"))


def test_from_typing_to_the_heat_map(browser: Any, origin: str, extractor: Extractor) -> None:
    with open_page(browser, origin, permissions=["clipboard-read", "clipboard-write"]) as found:
        extract(found)
        (extraction,) = extractor.extract([{"id": 1, "text": POST, "image": PHOTO}])
        expected = [(e.text, e.type, round(100 * (e.confidence or 0))) for e in extraction.entities]
        assert len(expected) == 4
        assert marks(found) == [f"{text}{type_}" for text, type_, _ in expected]
        rows = found.page.locator("#entities .confidence .number").all_inner_texts()
        assert [int(row.split()[0]) for row in rows] == [percent for *_, percent in expected]
        assert found.text("#seen-caption").startswith("Regions that affect Ada Berg")
        assert "by occlusion" in found.text("#seen-caption")
        first = heat(found)
        found.page.locator("#marked mark").nth(3).click()
        found.page.locator("#seen-caption", has_text="Regions that affect Paris").wait_for()
        assert heat(found) != first
        assert "picture" in found.text("#entities .details")
        entity = heat(found)
        relation = extraction.relations[0]
        found.page.locator("#relation-list button").first.click()
        found.page.locator("#seen-caption", has_text=f"{relation.tail.text}: most of all").wait_for()
        assert found.text("#seen-caption").startswith(f"Regions that affect {relation.head.text}")
        assert heat(found) != entity
        assert found.page.locator("#marked mark.selected").count() == 2
        assert "picture" in found.text("#relation-list .details")
        assert found.page.locator("#graph svg .node").count() >= 2
        assert len(found.page.locator("#relation-list li").all()) == len(extraction.relations)
        found.page.locator("#copy-json").click()
        found.page.locator("#copied", has_text="JSON copied").wait_for()
        copied = json.loads(found.page.evaluate("navigator.clipboard.readText()"))
        assert [(e["text"], e["type"]) for e in copied["entities"]] == [row[:2] for row in expected]
        found.page.locator("#copy-python").click()
        found.page.locator("#copied", has_text="Python copied").wait_for()
        program = found.page.evaluate("navigator.clipboard.readText()")
        compile(program, "copied", "exec")
        assert POST in program


def test_a_source_is_switched_off_and_the_prediction_changes(
    browser: Any, origin: str, extractor: Extractor
) -> None:
    with open_page(browser, origin) as found:
        extract(found, alt="a gate in the rock")
        found.page.locator("label.chip", has=found.page.locator("#use-picture")).click()
        found.page.locator("#seen-caption", has_text="Switched off").wait_for()
        idle(found)
        (without,) = extractor.extract([{"id": 1, "text": POST, "alt_text": "a gate in the rock"}])
        rows = found.page.locator("#entities .confidence .number").all_inner_texts()
        assert [int(row.split()[0]) for row in rows] == [
            round(100 * (e.confidence or 0)) for e in without.entities
        ]
        notes = found.page.locator("#entities .note").all_inner_texts()
        assert len(notes) == 4
        assert any("without the picture" in note for note in notes)
        assert found.page.locator("#relation-list .note").count() == len(without.relations) > 0
        assert found.page.locator("#heat").is_hidden()


def test_predictions_below_the_threshold_go_to_review(browser: Any, origin: str) -> None:
    with open_page(browser, origin) as found:
        extract(found, picture=None)
        slider = found.page.locator("#least")
        slider.focus()
        found.page.keyboard.press("Home")
        assert found.text("#kept") == "Everything is accepted"
        found.page.keyboard.press("End")
        assert "0 entities" in found.text("#kept")
        assert found.page.locator("#entities .review").count() == 4
        assert found.page.locator("#marked mark.to-review").count() == 4


def test_by_keyboard_alone(browser: Any, origin: str) -> None:
    with open_page(browser, origin) as found:
        extract(found, picture=None)
        found.page.locator("#marked mark").first.focus()
        found.page.keyboard.press("ArrowRight")
        found.page.keyboard.press("ArrowRight")
        assert found.page.evaluate("document.activeElement.textContent").startswith("NASA")
        assert "NASA" in found.text("#entities .row.open")
        found.page.keyboard.press("Tab")
        found.page.keyboard.press("Enter")
        assert "Paris" in found.text("#entities .row.open")


def test_an_example_is_one_click_away(browser: Any, origin: str) -> None:
    with open_page(browser, origin) as found:
        found.settled("#examples button")
        idle(found)
        found.page.locator("#examples button", has_text="Brandenburg Gate").click()
        found.page.locator("#marked", has_text="Brandenburg Gate").wait_for()
        found.settled("#heat")


def test_a_picture_is_dropped(browser: Any, origin: str) -> None:
    with open_page(browser, origin) as found:
        extract(found, picture=None)
        assert found.page.locator("#seen").is_hidden()
        found.page.evaluate(
            """async () => {
              const canvas = document.createElement("canvas");
              const blob = await new Promise((done) => canvas.toBlob(done));
              const data = new DataTransfer();
              data.items.add(new File([blob], "p.png", { type: "image/png" }));
              document.querySelector(".composer").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
            }"""
        )
        found.settled("#heat")


def test_markup_in_a_post_stays_text(browser: Any, origin: str) -> None:
    hostile = "Ada <img src=x onerror=alert(1)> <b>Bob</b> \u202eevil\u202c 🗼 in Paris"
    with open_page(browser, origin) as found:
        extract(found, hostile, None, alt="<script>alert(1)</script>")
        assert marks(found)[-1] == "ParisLOC"  # offsets count code points, as everywhere
        assert found.page.locator("#marked img, #marked b, #marked script").count() == 0


def test_an_unreadable_picture_is_reported(browser: Any, origin: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(PHOTO.read_bytes()[:3000])
    with open_page(browser, origin) as found:
        extract(found, picture=tmp_path / "broken.jpg")
        assert "could not be read" in found.text("#seen-caption")


def test_a_file_that_cannot_be_read_is_reported(browser: Any, origin: str) -> None:
    with open_page(browser, origin) as found:
        extract(found, picture=None)
        found.page.evaluate("() => { FileReader.prototype.readAsDataURL = function () { this.onerror(); }; }")
        found.page.locator("#file").set_input_files(PHOTO)
        found.page.locator("#status.alarm", has_text="The file cannot be read.").wait_for()


def test_a_failed_explanation_and_a_missing_example_are_reported(browser: Any, origin: str) -> None:
    late = {"status": 504, "content_type": "application/json",
            "body": '{"error": {"code": "deadline", "message": "there was no result"}}'}  # fmt: skip
    with visit(browser, origin) as found:
        found.page.route("**/v1/explain", lambda route: route.fulfill(**late))
        extract(found)
        assert found.text("#seen-caption") == "The effect of the picture is not known. There was no result."
        found.page.route("**/page/examples/*", lambda route: route.abort())
        found.page.locator("#examples button", has_text="Brandenburg Gate").click()
        found.page.locator("#status.alarm", has_text="cannot be loaded").wait_for()
        assert found.page.locator("#result").is_hidden()
        found.page.locator("#text").fill("")
        found.settled("#nothing-yet")
        found.wrong = [line for line in found.wrong if "504" not in line and "ERR_FAILED" not in line]


def test_a_request_to_a_busy_service_is_repeated(browser: Any, origin: str) -> None:
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "content_type": "application/json",
            "body": '{"error": {"code": "busy", "message": "the queue is full"}}'}  # fmt: skip
    with open_page(browser, origin) as found:
        extract(found, picture=None)
        found.page.route("**/v1/extract", lambda route: route.fulfill(**busy), times=1)
        found.page.locator("#text").fill("Bob in Paris")
        found.page.locator("#status.alarm", has_text="The queue is full. Trying again in 1 s.").wait_for()
        found.page.locator("#marked", has_text="BobPER in").wait_for()
        found.wrong = [line for line in found.wrong if "429" not in line]


def test_the_pause_of_the_page_is_the_one_of_these_tests() -> None:
    page = Path(server.__file__).parent / "page" / "demo.js"
    assert f"const PAUSE = {PAUSE};" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("device", ["phone", "desktop"])
def test_on_every_screen_and_for_screen_readers(browser: Any, origin: str, device: str) -> None:
    options = {"viewport": PHONE, "has_touch": True} if device == "phone" else {}
    with open_page(browser, origin, color_scheme="light", **options) as found:
        extract(found, alt="a gate in the rock")
        found.page.locator("#relation-list button").first.click()
        for scheme in ("light", "dark"):
            found.page.emulate_media(color_scheme=scheme)
            assert found.overflow() <= 0
            assert found.axe() == []
            ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
            assert (brightness < 60) == (scheme == "dark")
