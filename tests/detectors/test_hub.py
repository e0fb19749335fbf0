"""Detectors from the hub, through the real loading code, against the outputs of `transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from tiny_detectors import CLASSES, PHRASES, save_detector  # noqa: E402

from twofold.detectors.hub import ClassDetector, PhraseDetector, phrase_of  # noqa: E402
from twofold.detectors.load import load_detector  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
ASKED = ("person", "place")


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    sizes = ((48, 64), (64, 40), (90, 120))
    return [Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


@pytest.fixture(scope="module", params=CLASSES)
def of_classes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClassDetector:
    return load_detector(str(save_detector(request.param, tmp_path_factory.mktemp(request.param))), (), 0.0)


@pytest.fixture(scope="module", params=PHRASES)
def of_phrases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PhraseDetector:
    folder = save_detector(request.param, tmp_path_factory.mktemp(request.param))
    return load_detector(str(folder), ASKED, 0.0)


def check(found: list, kind: str, labels: set[str]) -> None:
    for regions in found:
        assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)
        for region in regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert 0 <= region.score <= 1
            assert region.kind == kind
            assert region.label in labels


def test_classes(of_classes: ClassDetector) -> None:
    assert isinstance(of_classes, ClassDetector)
    found = of_classes.detect(pictures())
    assert len(found) == 3
    assert sum(map(len, found)) > 0
    check(found, "object", {"dog", "cup"})  # N/A is no label


def test_classes_and_scores_are_those_of_the_model(of_classes: ClassDetector) -> None:
    picture = pictures()[0]
    inputs = of_classes._processor(images=[picture], return_tensors="pt")
    with torch.no_grad():
        output = of_classes._model(**inputs)
    best = output.logits[0].softmax(-1)[:, :-1].max(-1)
    expected = {
        (round(float(score), 4), of_classes._model.config.id2label[int(number)])
        for score, number in zip(*best, strict=True)
        if int(number) < 2
    }
    (found,) = of_classes.detect([picture])
    assert {(region.score, region.label) for region in found} == expected
    for region in found:
        centres = output.pred_boxes[0, :, :2]
        middle = torch.tensor([(region.box[0] + region.box[2]) / 2, (region.box[1] + region.box[3]) / 2])
        assert float((centres - middle).abs().sum(1).min()) < 0.3  # boxes are cut at the picture's edge


def test_phrases(of_phrases: PhraseDetector) -> None:
    assert isinstance(of_phrases, PhraseDetector)
    found = of_phrases.detect(pictures())
    assert len(found) == 3
    assert sum(map(len, found)) > 0
    check(found, "phrase", set(ASKED))


def test_a_threshold_drops_less_confident_regions(of_classes: ClassDetector) -> None:
    (everything,) = of_classes.detect(pictures()[:1])
    middle = everything[len(everything) // 2].score
    of_classes.threshold, before = middle - 1e-6, of_classes.threshold
    (sure,) = of_classes.detect(pictures()[:1])
    of_classes.threshold = before
    assert sure
    assert min(region.score for region in sure) >= middle - 1e-3


def test_the_name_of_a_detector_depends_on_phrases_and_threshold(tmp_path: Path) -> None:
    folder = str(save_detector("owlvit", tmp_path))
    names = {
        load_detector(folder, phrases, threshold).name
        for phrases in ((), ("a", "b"))
        for threshold in (None, 0.3)
    }
    assert len(names) == 4


@pytest.mark.parametrize(
    ("label", "phrase"),
    [
        ("person", "person"), ("the place", "a public place"), ("Person. [SEP]", "person"),
        ("place person", "person"), ("dog", ""), ("", ""),
    ],
)  # fmt: skip
def test_labels_of_a_phrase_detector_are_mapped_to_phrases(label: str, phrase: str) -> None:
    assert phrase_of(label, ["person", "a public place"]) == phrase


def test_a_model_that_is_not_a_detector_is_an_error(tmp_path: Path) -> None:
    import transformers as hf

    hf.ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="vit model"):
        load_detector(str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot be loaded.*coco or ocr"):
        load_detector(str(tmp_path / "none" / "there"))
