"""Unlabelled posts, learned from what trained taggers predict."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tiny_training import line

import twofold
from twofold.config import Config, CorpusConfig
from twofold.errors import ConfigError, DataError
from twofold.model_folder.folder import open_folder
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Post
from twofold.training.datasets import read_unlabelled
from twofold.training.examples import batches, collate
from twofold.training.run import set_up_training, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEXTS = ["Ada met Grace Hopper", "rain in New York", "@user says hi", "Paris again", "ada and rome", "😂"]


def write_texts(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)), "utf-8")
    return str(path)


def write_posts(path: Path, numbers: Iterable[int], end: str = "") -> str:
    """Labelled posts of `tiny_training`, with something at the end of their texts."""
    rows = [json.loads(line(number)) for number in numbers]
    changed = [row | {"text": row["text"] + end} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in changed), "utf-8")
    return str(path)


def two_corpora(config: Config, folder: Path, numbers: Iterable[int]) -> Config:
    """The tiny training with these posts, as two corpora with conventions of their own."""
    one, other = (
        write_posts(folder / f"{name}.jsonl", numbers, end) for name, end in (("one", ""), ("other", " now"))
    )
    corpora = (CorpusConfig("one", (one,), config.data.dev), CorpusConfig("other", (other,), mentions="none"))
    data = dataclasses.replace(config.data, train=(), dev=(), corpora=corpora)
    return dataclasses.replace(config, data=data)


@pytest.fixture(scope="module")
def settings(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Config:
    return two_corpora(config, tmp_path_factory.mktemp("distillation"), range(36))


@pytest.fixture(scope="module")
def teachers(settings: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("teachers")
    found = []
    for seed in (1, 2):
        training = dataclasses.replace(settings.training, seed=seed)
        own = dataclasses.replace(settings, training=training)
        found.append(str(train(own, folder / str(seed), lambda _: None)))
    return found[0], found[1]


def with_unlabelled(settings: Config, files: list[str], teachers: list[str]) -> Config:
    data = dataclasses.replace(settings.data, unlabelled=tuple(files), teachers=tuple(teachers))
    return dataclasses.replace(settings, data=data)


@pytest.mark.usefixtures("quick_export", "few_resamples")
def test_examples_hold_the_mean_of_the_teachers_under_the_same_convention(
    settings: Config, teachers: tuple[str, str], tmp_path: Path
) -> None:
    file = write_texts(tmp_path / "texts.jsonl", TEXTS)
    setup = set_up_training(with_unlabelled(settings, [file], list(teachers)), lambda _: None)
    distilled = [e for e in setup.data.examples(0) if e.marginals is not None]
    posts = read_unlabelled(with_unlabelled(settings, [file], []).data, lambda _: None)
    assert len(distilled) == len(posts) == len(TEXTS)
    known = {setup.conventions.vector(x): x for x in setup.conventions.named.values()}
    used = set()
    for example, post in zip(distilled, posts, strict=True):
        total = 0.0
        for teacher in teachers:
            pipeline = InferencePipeline(open_folder(Path(teacher)), convention=known[example.convention])
            (encoded,) = pipeline.encode([post])
            mask = np.ones((1, len(encoded.words)), bool)
            total = total + pipeline.decoder.tag_marginals(encoded.emissions[None], mask)[0]
        assert example.marginals is not None
        np.testing.assert_allclose(example.marginals, total / 2, atol=1e-3)
        used.add(known[example.convention].corpus)
    assert used == {"one", "other"}
    # All examples of a batch are of one kind; marginals are its targets.
    for group in batches(setup.data.examples(0), 5, 1, 0):
        batch = collate(group, {}, 0)
        kinds = {e.marginals is not None for e in group}
        assert kinds == {batch.marginals is not None}
        for row, example in zip(() if batch.marginals is None else batch.marginals, group, strict=False):
            assert example.marginals is not None
            np.testing.assert_allclose(row[: len(example.marginals)], example.marginals)


@pytest.mark.usefixtures("quick_export", "few_resamples")
def test_a_student_learns_what_only_its_teacher_knows(
    config: Config, teachers: tuple[str, str], tmp_path: Path
) -> None:
    places = [number for number in range(36) if number % 4 > 1]
    scarce = two_corpora(config, tmp_path, [*places, 0])  # its only person is in "Ada says hi"
    asked = ["Alan says hi", "Grace Hopper says hi", "sunset in Rome"]
    texts = [f"{text} {i}" for i in range(12) for text in (*asked, "rain")]
    taught = with_unlabelled(scarce, [write_texts(tmp_path / "texts.jsonl", texts)], [teachers[0]])
    found = []
    for model in (train(scarce, tmp_path / "alone", print), train(taught, tmp_path / "taught", print)):
        extracted = twofold.load(model).extract(asked)
        found.append([[(entity.text, entity.type) for entity in post.entities] for post in extracted])
    assert found[1] == [[("Alan", "PER")], [("Grace Hopper", "PER")], [("Rome", "LOC")]] != found[0]


def test_masks_are_filled_and_posts_of_dev_left_out(settings: Config, tmp_path: Path) -> None:
    dev = json.loads(Path(settings.data.all_dev[0]).read_text("utf-8").splitlines()[0])["text"]
    file = write_texts(tmp_path / "texts.jsonl", ["@user says hi", dev.upper(), "new"])
    lines: list[str] = []
    first, second = read_unlabelled(with_unlabelled(settings, [file], []).data, lines.append)
    assert second == Post(2, "new")
    assert first.text.startswith("@")
    assert first.text != "@user says hi"
    assert lines == [f"unlabelled: {tmp_path.name}/texts.jsonl, 2 posts, 1 left out"]
    alone = write_texts(tmp_path / "alone.jsonl", [dev])
    with pytest.raises(DataError, match="only posts of dev"):
        read_unlabelled(with_unlabelled(settings, [alone], []).data, lines.append)


def test_unsuitable_teachers_and_tasks_are_refused(
    settings: Config, teachers: tuple[str, str], tmp_path: Path
) -> None:
    file = write_texts(tmp_path / "texts.jsonl", TEXTS)
    for files, folders in (([file], []), ([], list(teachers))):
        with pytest.raises(ConfigError, match="both or neither"):
            set_up_training(with_unlabelled(settings, files, folders), lambda _: None)
    renamed = tuple(dataclasses.replace(c, name=f"{c.name} two") for c in settings.data.corpora)
    other = dataclasses.replace(settings, data=dataclasses.replace(settings.data, corpora=renamed))
    with pytest.raises(ConfigError, match="does not know the conventions one two, other two"):
        set_up_training(with_unlabelled(other, [file], [teachers[0]]), lambda _: None)
    people = tuple(dataclasses.replace(c, types={"LOC": "PLACE"}) for c in settings.data.corpora)
    other = dataclasses.replace(settings, data=dataclasses.replace(settings.data, corpora=people))
    with pytest.raises(ConfigError, match="B-PLACE"):
        set_up_training(with_unlabelled(other, [file], [teachers[0]]), lambda _: None)
    model = dataclasses.replace(settings.model, task="relations")
    pairs = with_unlabelled(dataclasses.replace(settings, model=model), [file], list(teachers))
    with pytest.raises(ConfigError, match="for a tagger"):
        set_up_training(pairs, lambda _: None)


def test_a_training_resumes_with_the_same_teachers_only(
    settings: Config, teachers: tuple[str, str], tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise Stop

    first, second = (
        with_unlabelled(settings, [write_texts(tmp_path / "texts.jsonl", TEXTS)], [teacher])
        for teacher in teachers
    )
    with pytest.raises(Stop):
        train(first, tmp_path / "model", stop)
    with pytest.raises(DataError, match="another configuration"):
        train(second, tmp_path / "model", stop)
    lines: list[str] = []
    train(first, tmp_path / "model", lines.append)
    assert "resuming after epoch 2" in lines
