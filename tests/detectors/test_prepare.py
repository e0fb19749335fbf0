"""Adding regions to posts: once per picture, resumable, nothing lost and everything unreadable named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twofold.corpora import open_corpus
from twofold.detectors.prepare import DetectionCache, prepare
from twofold.errors import DataError
from twofold.posts import Post, Region, Rejected


class Brightness:
    """Finds one region per picture, three times, labelled by the brightness of the picture."""

    def __init__(self, name: str = "brightness", kind: str = "object", fails_after: int = 10**9) -> None:
        self.name, self.kind, self.fails_after = name, kind, fails_after
        self.seen = 0

    def detect(self, pictures: list[Image.Image]) -> list[list[Region]]:
        found = []
        for picture in pictures:
            if self.seen >= self.fails_after:
                raise KeyboardInterrupt
            self.seen += 1
            label = str(round(float(np.asarray(picture).mean())))
            found.append([Region((0.0, 0.0, 1.0, 0.5), label, 0.5, self.kind)] * 3)
        return found


@pytest.fixture
def posts(tmp_path: Path) -> list[Post | Rejected]:
    for i in range(20):
        Image.new("RGB", (20, 20), (10 * i,) * 3).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"<html>")
    sign = Region((0.1, 0.1, 0.2, 0.2), "STOP", 1.0, "text")
    old = Region((0.1, 0.1, 0.2, 0.2), "old", 1.0, "object")
    items: list[Post | Rejected] = [
        Post(i, f"post {i}", image=tmp_path / f"{i}.png", alt_text="x" if i % 2 else None) for i in range(20)
    ]
    items += [
        Post("again", "the same picture", image=tmp_path / "3.png", regions=(sign, old)),
        Post("none", "no picture"),
        Post("broken", "", image=tmp_path / "broken.png", regions=(old,)),
        Post("gone", "", image=tmp_path / "gone.png"),
        Rejected("posts.jsonl:9", "not JSON", "{"),
    ]
    return items


def silent(line: str) -> None:
    pass


def written(path: Path) -> dict[str | int, Post]:
    return {post.id: post for post in open_corpus(path) if isinstance(post, Post)}


def test_every_post_is_written_with_the_detected_regions(posts: list, tmp_path: Path) -> None:
    detector, out = Brightness(), tmp_path / "out.jsonl"
    result = prepare(lambda: posts, [detector], out, silent, most=2)
    assert detector.seen == result.pictures == 20
    assert result.posts == 24
    assert [line.split(":")[0] for line in result.unreadable] == ["broken", "gone"]
    assert [item.origin for item in result.rejected] == ["posts.jsonl:9"]
    assert result.exit_code == 1
    found = written(out)
    assert [region.label for region in found[7].regions] == ["70", "70"]
    assert found[7].alt_text == "x"
    assert found[7].image.resolve() == (tmp_path / "7.png").resolve()
    assert [region.label for region in found["again"].regions] == [
        "STOP",
        "30",
        "30",
    ]  # new objects, old text
    assert found["none"].regions is None
    assert [region.label for region in found["broken"].regions] == ["old"]
    assert found["gone"].regions is None
    assert list(tmp_path.glob("*.regions")) == []


def test_regions_of_several_detectors_are_combined(posts: list, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    prepare(lambda: posts, [Brightness(), Brightness("other", "text")], out, silent, most=1)
    assert [region.kind for region in written(out)["again"].regions] == ["object", "text"]


@pytest.mark.parametrize("cut", [False, True])
def test_an_interrupted_run_is_resumed(posts: list, tmp_path: Path, cut: bool) -> None:
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    prepare(lambda: posts, [Brightness()], whole, silent)
    with pytest.raises(KeyboardInterrupt):
        prepare(lambda: posts, [Brightness(fails_after=10)], out, silent)
    work = tmp_path / "out.jsonl.regions"
    kept = len(work.read_text().splitlines()) - 1
    assert kept == 8  # one batch is complete; the other was interrupted
    assert not out.exists()
    if cut:  # killed in the middle of a line
        work.write_bytes(work.read_bytes()[:-20])
        kept -= 1
    again = Brightness()
    prepare(lambda: posts, [again], out, silent)
    assert again.seen == 20 - kept
    assert out.read_bytes() == whole.read_bytes()


def test_the_cache_of_another_detector_is_refused_without_fresh(posts: list, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        prepare(lambda: posts, [Brightness(fails_after=10)], out, silent)
    with pytest.raises(DataError, match="--restart"):
        prepare(lambda: posts, [Brightness("other")], out, silent)
    with pytest.raises(DataError, match="--restart"):
        prepare(lambda: posts, [Brightness()], out, silent, most=3)
    other = Brightness("other")
    prepare(lambda: posts, [other], out, silent, fresh=True)
    assert other.seen == 20


def test_posts_are_read_lazily(tmp_path: Path) -> None:
    taken: list[int] = []

    def items() -> Iterator[Post]:
        for i in range(20):
            taken.append(i)
            yield Post(i, "")

    lines: list[str] = []
    prepare(items, [Brightness()], tmp_path / "out.jsonl", lambda line: lines.append(f"{len(taken)} {line}"))
    assert lines[0].startswith("8 8 posts")


def test_regions_are_read_back_from_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "f"
    region = Region((0.1, 0.2, 0.3, 0.4), "naïve \n dog", 0.25, "phrase")
    DetectionCache(path, ["a"]).add({"k": [region], "l": []})
    again = DetectionCache(path, ["a"])
    assert (again.regions("k"), again.regions("l"), again.regions("m")) == ([region], [], None)
    assert json.loads(path.read_text("utf-8").split("\n")[0]) == {"detectors": ["a"]}
    again.remove()
    assert not path.exists()
