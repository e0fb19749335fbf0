"""The examples: every photograph is credited and readable, except one that is broken on purpose."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from twofold.errors import PictureError
from twofold.preprocessing.images import PictureSettings, read_picture

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
POSTS = [
    json.loads(line) for line in (EXAMPLES / "posts.jsonl").read_text(encoding="utf-8").split("\n") if line
]


def test_every_photograph_is_used_and_credited() -> None:
    with (EXAMPLES / "photos" / "CREDITS.tsv").open(encoding="utf-8", newline="") as file:
        credits = {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}
    files = {path.name for path in (EXAMPLES / "photos").glob("*.jpg")}
    assert set(credits) == files == {Path(post["image"]).name for post in POSTS if "image" in post}
    assert {row["licence"] for row in credits.values()} <= {"Public Domain", "CC0-1.0"}
    assert all(row["author"] and row["source"] for row in credits.values())
    assert sum((EXAMPLES / "photos" / name).stat().st_size for name in files) < 1_200_000


def test_one_picture_is_broken_and_one_post_has_none() -> None:
    broken = []
    for post in POSTS:
        if "image" in post:
            try:
                read_picture(EXAMPLES / post["image"], PictureSettings())
            except PictureError as error:
                broken.append((post["id"], error.what))
    ((name, reason),) = broken
    assert name == "castle-queue"
    assert "truncated" in reason
    assert [post["id"] for post in POSTS if "image" not in post] == ["curie-1903"]


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post["id"])
def test_every_post_is_described(post: dict[str, str]) -> None:
    assert f"| `{post['id']}` |" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert set(post) <= {"id", "text", "image", "alt_text"}
