"""The posts used in the measurements, and the time per post without the start-up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import scale
from PIL import Image

import twofold


def written(source: Path, rows: int, work: Path, pictures: Path | None = None) -> list[dict[str, object]]:
    work.mkdir()
    path = scale.write_posts(source, rows, work, pictures)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "red").save(folder / name)
    (folder / "CREDITS.tsv").write_text("file\tauthor\n")
    return folder


def test_each_line_of_a_text_file_is_a_post_and_all_texts_differ(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("off to Rome \u2028 now\nlunch\n", encoding="utf-8")
    posts = written(texts, 4, tmp_path / "work")
    assert [post["text"] for post in posts] == [
        "off to Rome \u2028 now 0", "lunch 1", "off to Rome \u2028 now 2", "lunch 3",
    ]  # fmt: skip
    assert not any("image" in post for post in posts)


def test_pictures_of_a_folder_are_used_in_turn_and_all_files_differ(tmp_path: Path, photos: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("lunch\n")
    posts = written(texts, 5, tmp_path / "work", photos)
    files = [tmp_path / "work" / str(post["image"]) for post in posts]
    assert len({file.read_bytes() for file in files}) == 5
    assert {Image.open(file).convert("RGB").getpixel((0, 0)) for file in files} == {(255, 0, 0)}


def test_posts_keep_their_own_pictures_if_requested(tmp_path: Path, photos: Path) -> None:
    source = photos / "posts.jsonl"
    source.write_text('{"id": 1, "text": "with", "image": "b.png"}\n{"id": 2, "text": "without"}\n')
    assert [post.get("image") for post in written(source, 3, tmp_path / "work", scale._OWN)] == [
        "pictures/0.png", None, "pictures/2.png"
    ]  # fmt: skip
    read = list(twofold.read_posts(tmp_path / "work" / "3.jsonl"))
    assert all(Path(post.image).is_file() for post in read if post.image)
    assert not any("image" in post for post in written(source, 3, tmp_path / "plain"))


def test_the_time_per_post_excludes_the_start_up() -> None:
    short, used = {"seconds": 3.0, "cpu_seconds": 2.0}, {"seconds": 13.0, "cpu_seconds": 22.0}
    assert scale._without_start(1000, used, short, "local") == {
        "posts_per_second": 100.0, "cpu_ms_per_post": 20.0
    }  # fmt: skip
    assert "cpu_ms_per_post" not in scale._without_start(1000, used, short, "ray")


def test_reading_alone_counts_all_posts_and_packs_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("lunch\n")
    path = scale.write_posts(texts, 5, tmp_path)
    packed: list[int] = []
    monkeypatch.setattr(scale.pickle, "dumps", lambda shard, protocol: packed.append(len(shard.items)))
    read = scale.read_alone(path, packed=False, shard_rows=2)
    assert read["posts_per_second"] > 0
    assert not packed
    scale.read_alone(path, packed=True, shard_rows=2)
    assert packed == [2, 2, 1] * scale._ROUNDS


def test_a_measurement_is_added_with_its_command_without_folder_names(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    for rows in (1, 2):
        scale.report({"rows": rows}, ["--posts", str(tmp_path / "posts.jsonl"), "--rows", "1", "2"], out)
    command = "benchmarks/scale.py --posts posts.jsonl --rows 1 2"
    assert json.loads(out.read_text()) == [{"command": command, "rows": 1}, {"command": command, "rows": 2}]
