"""Corpora of a training, each with its own settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from twofold.config import CorpusConfig, DataConfig
from twofold.errors import DataError
from twofold.training.datasets import read_training_data


def write(folder: Path, name: str, *posts: str) -> str:
    """Write a file of posts such as "Ada/PER flies"; returns its path."""
    rows = [[word.partition("/") for word in post.split()] for post in posts]
    blocks = ["".join(f"{w}\t{f'B-{t}' if t else 'O'}\n" for w, _, t in row) for row in rows]
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(blocks) + "\n", encoding="utf-8")
    return str(path)


def entities(corpus):
    return [(e.text, e.type) for post in corpus.posts for e in post.entities]


def read(data: DataConfig):
    lines = []
    train, dev = read_training_data(data, "entities", lines.append)
    return train, dev, lines


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Two corpora: "one" with all types, "two" with types of its own, no MISC and split mentions."""
    return DataConfig(
        train=(write(tmp_path, "one/train", "Ada/PER saw Alien/MISC today"),),
        dev=(write(tmp_path, "one/dev", "Bob/PER sleeps"),),
        corpora=(
            CorpusConfig(
                "two",
                train=(write(tmp_path, "2/train", "@/person Cleo/person is in Rome/place with Acme/group"),),
                dev=(write(tmp_path, "2/dev", "Dan/person cooks"),),
                types={"person": "PER", "place": "LOC", "group": ""},
                annotated_types=("PER", "LOC"),
                merge_mentions=True,
            ),
        ),
    )


def test_each_corpus_is_read_with_its_own_settings(data):
    train, dev, lines = read(data)
    assert [corpus.name for corpus in (*train, *dev)] == ["one/train", "2/train", "one/dev", "2/dev"]
    assert [corpus.convention for corpus in (*train, *dev)] == ["", "two", "", "two"]
    assert entities(train[0]) == [("Ada", "PER"), ("Alien", "MISC")]
    assert entities(train[1]) == [("Cleo", "PER"), ("Rome", "LOC")]
    assert entities(dev[1]) == [("Dan", "PER")]
    assert len(lines) == 4


def test_types_that_a_corpus_does_not_annotate_are_recorded(data):
    train, dev, _ = read(data)
    assert [corpus.unannotated for corpus in (*train, *dev)] == [frozenset(), {"MISC"}, frozenset(), {"MISC"}]


def test_an_entity_of_an_unannotated_type_is_an_error(tmp_path):
    file = write(tmp_path, "a/train", "Ada/PER saw Alien/MISC")
    with pytest.raises(DataError, match="entities of type MISC"):
        read(DataConfig(corpora=(CorpusConfig(train=(file,), annotated_types=("PER",)),)))


def test_texts_of_other_dev_sets_and_of_held_out_files_are_left_out(tmp_path):
    one = [
        write(tmp_path, f"one/{name}", *posts)
        for name, posts in {
            "train": ["RT @x : bob SLEEPS well", "Dan cooks rice", "Eve reads", "@x", "Gus is new"],
            "dev": ["Eve reads"],  # also in train: published splits are not changed
            "test": ["Hal sings", "gus is NEW !", "@y"],
        }.items()
    ]
    two = [
        write(tmp_path, f"two/{name}", *posts)
        for name, posts in {"train": ["Eve reads", "Ida waits"], "dev": ["Dan cooks rice !"]}.items()
    ]
    data = DataConfig(
        (one[0],), (one[1],), held_out=(one[2],), corpora=(CorpusConfig("two", (two[0],), (two[1],)),)
    )
    train, _, lines = read(data)
    assert [post.text for post in train[0].posts] == ["RT @x : bob SLEEPS well", "Eve reads", "@x"]
    assert [post.text for post in train[1].posts] == ["Ida waits"]
    assert [line.split()[0] for line in lines if "left out" in line] == ["2", "1"]
    assert [line for line in lines if "dev post" in line] == [
        "  1 have the text of a dev post, which makes the scores on dev too high"
    ]


def test_a_file_without_remaining_posts_is_an_error(tmp_path):
    train, dev = (write(tmp_path, name, "Ada/PER reads") for name in ("train", "dev"))
    with pytest.raises(DataError, match="all its texts are in held-out files"):
        read(DataConfig((train,), (dev,), held_out=(dev,)))


def test_masks_are_replaced_in_training_files_only(tmp_path):
    files = [write(tmp_path, name, "@USER1 met Ada/PER") for name in ("t", "d")]
    (train,), (dev,), _ = read(DataConfig(corpora=(CorpusConfig("x", files[:1], files[1:], unmask=True),)))
    assert "USER1" not in train.posts[0].text
    assert "USER1" in dev.posts[0].text
    assert entities(train) == entities(dev)


def test_settings_change_the_identity(data, tmp_path):
    (_, two), _, _ = read(data)
    plain = CorpusConfig("two", train=data.corpora[0].train)
    others = [
        read(DataConfig(corpora=(corpus,)))[0][0]
        for corpus in (
            plain,
            CorpusConfig("three", plain.train),
            CorpusConfig("two", plain.train, (), {"group": ""}),
        )
    ]
    assert len({str(corpus.identity) for corpus in (two, *others)}) == 4


MNRE = """\
{'token': ['Ada', 'met', '@Bob', 'in', 'Rome'], 'h': {'name': 'Ada', 'pos': [0, 1]}, \
't': {'name': 'Rome', 'pos': [4, 5]}, 'img_id': '1.jpg', 'relation': '/per/loc/place_of_residence'}
{'token': ['Ada', 'met', '@Bob', 'in', 'Rome'], 'h': {'name': 'Ada', 'pos': [0, 1]}, \
't': {'name': '@Bob', 'pos': [2, 3]}, 'img_id': '1.jpg', 'relation': 'None'}
{'token': ['Bob', 'sleeps', 'Now'], 'h': {'name': 'Bob', 'pos': [0, 1]}, \
't': {'name': 'Now', 'pos': [2, 3]}, 'img_id': '2.jpg', 'relation': 'None'}
"""


def test_arguments_of_relations_are_entities_of_a_partial_file(data, tmp_path):
    """Each once, without a type where none is known; none with a mark; no post of a dev file."""
    (tmp_path / "mnre.txt").write_text(MNRE)
    dev = write(tmp_path, "1/dev", "Bob/PER sleeps now")
    one = CorpusConfig("one", train=data.train, dev=(dev,), partial=(str(tmp_path / "mnre.txt"),))
    train, _, _ = read(DataConfig(corpora=(one,)))
    assert [(corpus.partial, corpus.convention) for corpus in train] == [(False, "one"), (True, "one")]
    assert entities(train[1]) == [("Ada", "PER"), ("Rome", "LOC")]
    assert train[1].identity != replace(train[1], partial=False).identity


def test_results_are_not_labels(tmp_path):
    result = {"id": 1, "text": "Ada", "entities": [], "picture": {"status": "none"}, "model": "m"}
    (tmp_path / "out.jsonl").write_text(json.dumps(result), encoding="utf-8")
    dev = write(tmp_path, "dev", "Bob/PER sleeps")
    with pytest.raises(DataError, match=r"out\.jsonl: is a result of `twofold extract`, not labels"):
        read(DataConfig((str(tmp_path / "out.jsonl"),), (dev,)))
