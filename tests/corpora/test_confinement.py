"""Pictures named by untrusted data: nothing outside the folder is opened."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from twofold.corpora import open_corpus
from twofold.errors import DataError
from twofold.posts import Post, RefusedPicture

posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links as POSIX has them")


def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    for name in ("in.png", "sub/deep.png"):
        (tmp_path / "data" / name).write_bytes(b"picture")
    return tmp_path / "data"


def images(data: Path, *names: str, **options: object) -> list[object]:
    lines = (json.dumps({"id": 1, "text": "Anna", "image": name}) for name in names)
    (data / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    posts = list(open_corpus(data / "posts.jsonl", **options))
    assert all(isinstance(post, Post) and post.text == "Anna" for post in posts)
    return [post.image for post in posts]


def test_paths_inside_the_folder_are_unchanged(tmp_path):
    data = folder(tmp_path)
    names = ["in.png", "sub/deep.png", "sub/../in.png", str(data / "in.png"), "gone.png"]
    assert images(data, *names) == [data / name for name in names]


def test_paths_outside_the_folder_are_refused_and_others_are_kept(tmp_path):
    data = folder(tmp_path)
    names = ["../secret.png", str(tmp_path / "secret.png"), "/etc/passwd", "sub/../../secret.png", "in.png"]
    *refused, good = images(data, *names)
    assert good == data / "in.png"
    for image in refused:
        assert isinstance(image, RefusedPicture)
        assert "leads out of the folder" in image.reason
        assert "--images (in Python images=)" in image.do
        assert "(in Python allow_outside=True)" in image.do


def test_paths_outside_the_folder_can_be_allowed(tmp_path):
    assert images(folder(tmp_path), "../secret.png", allow_outside=True) == [
        tmp_path / "data" / "../secret.png"
    ]


def test_the_folder_of_pictures_confines_too(tmp_path):
    data = folder(tmp_path)
    found = images(data, "deep.png", "../in.png", str(data / "in.png"), images=data / "sub")
    assert found[0] == data / "sub" / "deep.png"
    assert all(isinstance(image, RefusedPicture) for image in found[1:])


@posix
def test_links_are_resolved_first(tmp_path):
    data = folder(tmp_path)
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    (data / "up").symlink_to("..")
    (data / "good.png").symlink_to("sub/deep.png")
    (data / "loop.png").symlink_to("loop.png")
    link, up, good, loop = images(data, "link.png", "up/secret.png", "good.png", "loop.png")
    assert isinstance(link, RefusedPicture)
    assert isinstance(up, RefusedPicture)
    assert good == data / "good.png"
    assert isinstance(loop, Path)  # opening it raises the error about the loop


@posix
def test_a_folder_that_is_a_link_is_the_folder_it_links_to(tmp_path):
    data = folder(tmp_path)
    (tmp_path / "link").symlink_to(data)
    assert images(tmp_path / "link", "in.png") == [tmp_path / "link" / "in.png"]


def test_an_index_cannot_lead_out(tmp_path):
    data = folder(tmp_path)
    (data / "index.tsv").write_text("image\tphoto\na.jpg\t../../secret.png\nb.jpg\tb.png\n", encoding="utf-8")
    (data / "tweets.txt").write_text("IMGID:a\nAnna\tO\n\nIMGID:b\nAnna\tO\n", encoding="utf-8")
    first, second = open_corpus(data / "tweets.txt", images=data)
    assert isinstance(first.image, RefusedPicture)
    assert second.image == data / "photos" / "b.png"


@posix
def test_an_index_that_is_a_link_out_is_refused(tmp_path):
    data = folder(tmp_path)
    (tmp_path / "table.tsv").write_text("image\tphoto\na.jpg\tb.png\n", encoding="utf-8")
    (data / "index.tsv").symlink_to(tmp_path / "table.tsv")
    with pytest.raises(DataError, match="a link out of the folder"):
        images(data, "a.jpg", images=data)
    images(data, "a.jpg", images=data, allow_outside=True)
