"""Files of which only some entities are annotated, such as arguments of relations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tiny_training import relation_line

from twofold.config import Config, CorpusConfig
from twofold.posts import Entity, Post
from twofold.preprocessing.word_pieces import Window
from twofold.training import run
from twofold.training.examples import collate, entities_in


def silent(line: str) -> None:
    pass


@pytest.fixture
def setup(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> run.TrainingSetup:
    """A training on the tiny corpus, and on relations for their arguments alone."""
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(map(relation_line, range(36))), encoding="utf-8")
    corpora = (*config.data.corpora, CorpusConfig(partial=(str(file),)))
    return run.set_up_training(
        dataclasses.replace(config, data=dataclasses.replace(config.data, corpora=corpora)), silent
    )


def test_arguments_are_learned_and_nothing_of_other_words(setup: run.TrainingSetup) -> None:
    labels = setup.model.head.labels
    begins = sum(1 << i for i, tag in enumerate(labels) if tag[0] == "B")
    unknown = begins | 1 << labels.index("O")
    group = [example for example in setup.data.train if example.allowed]
    assert len(group) == len(next(corpus for corpus in setup.train_sets if corpus.partial).posts)
    for example in group:
        assert any(allowed and not allowed & ~begins for allowed in example.allowed)
        assert any(not unknown & ~allowed for allowed in example.allowed)  # O, or an entity begins
    model = setup.model
    batch = collate(group[:8], setup.data.tables, model.text.pad_id)
    model.loss(model(batch), batch).backward()
    assert model.head.transitions.grad is not None
    assert float(model.head.transitions.grad.abs().sum()) > 0


def test_positions_of_entities_are_relative_to_the_window() -> None:
    """Words 1 to 4 of six; an entity that reaches beyond them is left out."""
    text = "Ada met Bob in New York"
    spans = [(0, 3, "PER"), (8, 11, "PER"), (4, 11, ""), (15, 23, "LOC")]
    post = Post("1", text, entities=tuple(Entity(a, b, text[a:b], kind) for a, b, kind in spans))
    window = Window([], [], [], start=1, end=5, core_start=1, core_end=5)
    assert entities_in(post, window) == [(1, 1, "PER"), (0, 1, "")]
