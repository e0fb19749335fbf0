"""The controlled set: what makes it a test of picture use is checked on the files themselves."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
import pytest

from twofold.corpora import open_corpus
from twofold.errors import ConfigError
from twofold.posts import Post
from twofold.preprocessing.images import read_thumbnail
from twofold.synthetic.controlled import MISMATCHED_EVERY, TASKS, write_controlled
from twofold.synthetic.drawings import DRAWINGS, SIDE

FILES = (
    "train",
    "dev",
    "matched",
    "no_picture",
    "blank",
    "mismatched",
    "unambiguous",
    "unambiguous_mismatched",
)


@pytest.fixture(scope="module", params=list(TASKS))
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Post]]:
    folder = tmp_path_factory.mktemp(request.param)
    write_controlled(folder, request.param, train=30, test=6)
    return {name: [p for p in open_corpus(folder / f"{name}.jsonl") if isinstance(p, Post)] for name in FILES}


def types(post: Post) -> list[str]:
    relations = [relation.type for relation in post.relations or ()]
    return relations or [entity.type for entity in post.entities or ()]


def digest(post: Post) -> str:
    """Digest of the picture's bytes."""
    return sha256(Path(str(post.image)).read_bytes()).hexdigest()


def test_sizes(files: dict[str, list[Post]]) -> None:
    expected = (90, 18, 12, 12, 12, 12, 6, 6)
    assert [len(files[name]) for name in FILES] == list(expected)


@pytest.mark.parametrize("name", ["matched", "no_picture", "blank", "mismatched"])
def test_every_text_occurs_once_with_each_type(files: dict[str, list[Post]], name: str) -> None:
    """So whatever a model of the text alone predicts, it is right for at most half."""
    posts = files[name]
    assert all(len(types(post)) == 1 for post in posts)
    for one, other in zip(posts[::2], posts[1::2], strict=True):
        assert one.text == other.text
        assert types(one) != types(other)
        assert _spans(one) == _spans(other)


def _spans(post: Post) -> list[tuple[int, int]]:
    return [(entity.start, entity.end) for entity in post.entities or ()]


def test_gold_spans_are_the_names_and_differ_between_training_and_test(files: dict[str, list[Post]]) -> None:
    names = {
        name: {entity.text for post in posts for entity in post.entities or ()}
        for name, posts in files.items()
    }
    assert all(re.fullmatch("[A-Z][a-z]+", name) for group in names.values() for name in group)
    assert not (names["train"] | names["dev"]) & (names["matched"] | names["unambiguous"])
    for post in (post for posts in files.values() for post in posts):
        for entity in post.entities or ():
            assert post.text[entity.start : entity.end] == entity.text


def test_no_picture_but_the_blank_occurs_twice(files: dict[str, list[Post]]) -> None:
    pictures = Counter(digest(p) for name in FILES for p in files[name] if p.image and name != "blank")
    assert set(pictures.values()) == {1}
    assert all(post.image is None for post in files["no_picture"])
    for post in files["blank"]:
        assert read_thumbnail(Path(str(post.image)), SIDE).getcolors(1) is not None


def test_some_training_pictures_are_mismatched(files: dict[str, list[Post]]) -> None:
    mismatched = [post for post in files["train"] if "mismatched" in str(post.image)]
    assert len(mismatched) == pytest.approx(len(files["train"]) / MISMATCHED_EVERY, abs=1)
    assert len({types(post)[0] for post in mismatched}) == 2
    assert all(
        "mismatched" in str(post.image)
        for name in ("mismatched", "unambiguous_mismatched")
        for post in files[name]
    )


@pytest.mark.parametrize("task", list(TASKS))
def test_unambiguous_templates_fit_one_type_and_are_not_among_the_ambiguous_ones(task: str) -> None:
    templates = TASKS[task]
    unambiguous = [text for texts in templates.unambiguous.values() for text in texts]
    assert len({*unambiguous, *templates.ambiguous}) == len(unambiguous) + len(templates.ambiguous)
    assert list(templates.unambiguous) == list(templates.drawings)
    assert not set(templates.names[0]) & set(templates.names[1])
    assert {text.count("{}") for text in {*unambiguous, *templates.ambiguous}} == {
        2 if templates.relation else 1
    }


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        write_controlled(tmp_path / name, "entities", train=5, test=2, seed=seed)
    one, same, other = (
        {p.name: p.read_bytes() for p in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("one", "same", "other")
    )
    assert one == same
    assert one["train.jsonl"] != other["train.jsonl"]
    assert all(one[name] != other[name] for name in one if name.startswith("train-"))


def test_an_unknown_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'events'"):
        write_controlled(tmp_path, "events")


@pytest.mark.parametrize(("one", "other"), [("portrait", "landscape"), ("two people", "two players")])
def test_pictures_are_classified_by_where_colours_are_not_by_the_mean_colour(one: str, other: str) -> None:
    grids = {kind: np.stack([_grid(kind, i) for i in range(160)]) for kind in (one, other)}
    assert _accuracy(grids[one], grids[other]) > 0.97
    assert _accuracy(grids[one].mean(1, keepdims=True), grids[other].mean(1, keepdims=True)) < 0.95


def _grid(kind: str, number: int) -> np.ndarray:
    """(16, 3) mean colours of a 4 × 4 grid."""
    pixels = np.asarray(DRAWINGS[kind](Random(f"{kind} {number}")), float) / 255
    return pixels.reshape(4, SIDE // 4, 4, SIDE // 4, 3).mean((1, 3)).reshape(16, 3)


def _accuracy(one: np.ndarray, other: np.ndarray) -> float:
    """Accuracy of ridge regression, fitted on the first 80 pictures of each kind, on the last 80."""
    x = np.concatenate([one, other]).reshape(320, -1)
    x = np.concatenate([x, np.ones((320, 1))], 1)
    sign = np.repeat([1.0, -1.0], 160)
    train = np.arange(320) % 160 < 80
    square = x[train].T @ x[train] + 0.1 * np.eye(x.shape[1])
    weights = np.linalg.solve(square, x[train].T @ sign[train])
    return float((x[~train] @ weights * sign[~train] > 0).mean())
