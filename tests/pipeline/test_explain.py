from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from PIL import Image

import twofold
from twofold.pipeline.explain import REACH, explain, seen_area, windows
from twofold.posts import Post
from twofold.preprocessing.images import PictureSettings, read_picture

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "petra.jpg"
POST = Post(1, "Ada Berg met NASA in Paris", image=PHOTO, alt_text="a gate in the rock")


def log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> twofold.Extractor:
    return twofold.load(tiny_model.build(tmp_path_factory.mktemp("explain") / "model"))


def test_windows_are_the_regions_around_each_region() -> None:
    side, reach = 4, 1
    cells = [(row, column) for row in range(side) for column in range(side)]
    near = [
        [i for i, (r, c) in enumerate(cells) if max(abs(r - row), abs(c - column)) <= reach]
        for row, column in cells
    ]
    assert [window.tolist() for window in windows(side, reach)] == near
    assert [window.tolist() for window in windows(2, 0)] == [[0], [1], [2], [3]]


def test_removing_all_regions_is_removing_the_picture(tiny: twofold.Extractor) -> None:
    """The tiny model has 2 × 2 regions, so that each window is the whole picture."""
    assert REACH == 1
    found = explain(tiny.pipeline, POST)
    (without,) = tiny.extract([replace(POST, image=None)])
    assert [e.text for e in found.entities] == ["Ada Berg", "NASA", "Paris"]
    assert found.of_entities is not None
    assert found.of_entities.without_picture == pytest.approx([e.confidence for e in without.entities])
    for entity, absent, grid in zip(found.entities, without.entities, found.of_entities.regions, strict=True):
        expected = log_odds(entity.confidence or 0) - log_odds(absent.confidence or 0)
        assert grid == pytest.approx(np.full((2, 2), expected), abs=1e-5)
        assert abs(expected) > 1e-4  # the picture has an effect, or this would test nothing


def test_explained_predictions_are_those_of_the_extraction(tiny: twofold.Extractor, both: Path) -> None:
    for model in (tiny, twofold.load(both)):
        (extraction,) = model.extract([POST])
        found = explain(model.pipeline, POST)
        assert (found.entities, found.relations) == (extraction.entities, extraction.relations)


def test_relations_without_all_regions_are_those_without_the_picture(both: Path) -> None:
    model = twofold.load(both)
    found = explain(model.pipeline, POST)
    (without,) = model.extract([replace(POST, image=None)])
    assert [(r.head.text, r.tail.text) for r in found.relations] == [
        ("Ada Berg", "NASA"), ("Ada Berg", "Paris"), ("NASA", "Paris")
    ]  # fmt: skip
    assert found.of_relations is not None
    assert found.of_relations.without_picture == pytest.approx([r.confidence for r in without.relations])
    grids = found.of_relations.regions
    for relation, absent, grid in zip(found.relations, without.relations, grids, strict=True):
        expected = log_odds(relation.confidence or 0) - log_odds(absent.confidence or 0)
        assert grid == pytest.approx(np.full((2, 2), expected), abs=1e-5)
        assert abs(expected) > 1e-4


def test_a_relation_model_with_an_encoder_of_its_own_has_its_own_regions(both: Path, tmp_path: Path) -> None:
    """A tagger that uses no picture, with a relation model that does."""
    text_tagger = tiny_model.build(tmp_path / "text", sources=("text",))
    model = twofold.load(text_tagger, relation_model=both.parent / "relations")
    found = explain(model.pipeline, POST)
    (without,) = model.extract([replace(POST, image=None)])
    assert (found.of_entities, found.picture.status) == (None, "read")
    assert found.of_relations is not None
    assert found.of_relations.without_picture == pytest.approx([r.confidence for r in without.relations])


@pytest.mark.parametrize(
    ("post", "status"),
    [
        (replace(POST, image=None), "none"),
        (replace(POST, image=b"no picture"), "unreadable"),
        (replace(POST, text="nothing here"), "read"),
        (replace(POST, text=""), "read"),
    ],
)
def test_without_a_picture_or_an_entity_there_is_nothing_to_explain(
    tiny: twofold.Extractor, post: Post, status: str
) -> None:
    found = explain(tiny.pipeline, post)
    assert (found.of_entities, found.of_relations, found.picture.status) == (None, None, status)


def test_a_model_without_pictures_explains_none(tmp_path: Path) -> None:
    model = twofold.load(tiny_model.build(tmp_path / "text", sources=("text",)))
    assert explain(model.pipeline, POST).of_entities is None


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256), (90, 400)])
@pytest.mark.parametrize("fit", ["crop", "squeeze"])
def test_the_area_that_the_encoder_sees(tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    """White inside it and black outside gives white pixels, except at the edge."""
    settings = PictureSettings(fit=fit)
    x0, y0, x1, y1 = seen_area(*size, settings)
    picture = Image.new("RGB", size, "black")
    picture.paste(
        "white", (round(x0 * size[0]), round(y0 * size[1]), round(x1 * size[0]), round(y1 * size[1]))
    )
    picture.save(tmp_path / "p.png")
    pixels, _ = read_picture(tmp_path / "p.png", settings)
    white = (255 - 127) / 128
    np.testing.assert_allclose(pixels[:, 8:-8, 8:-8], white, rtol=0, atol=0.02)
    narrower = picture.copy()
    narrower.paste("black", (0, 0, round((x0 + 0.06) * size[0]), size[1]))  # nor is it any wider
    narrower.save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png", settings)[0][:, :, 2].max() < 0


def test_the_shipped_model_explains_its_49_regions() -> None:
    extractor = twofold.load()
    post = Post(
        1, "Berlin at dusk. Brandenburg Gate, no plans.", image=PHOTO.with_name("brandenburgGate.jpg")
    )
    found = explain(extractor.pipeline, post)
    (without,) = extractor.extract([replace(post, image=None)])
    known = {(e.start, e.end, e.type): e.confidence for e in without.entities}
    known |= {(r.head.start, r.tail.start, r.type): r.confidence for r in without.relations}
    names = [
        [(e.start, e.end, e.type) for e in found.entities],
        [(r.head.start, r.tail.start, r.type) for r in found.relations],
    ]
    for predictions, occlusion in zip(names, (found.of_entities, found.of_relations), strict=True):
        assert occlusion is not None
        assert occlusion.regions.shape == (len(predictions), 7, 7)
        assert np.isfinite(occlusion.regions).all()
        for name, confidence in zip(predictions, occlusion.without_picture, strict=True):
            assert confidence == pytest.approx(known.get(name, confidence))
