"""A frozen text encoder, run once: the same figures as running it every time."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from twofold.config import Config  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.models.build import build_model  # noqa: E402
from twofold.models.multimodal import WORDS, MultimodalModel  # noqa: E402
from twofold.posts import Post, Region  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer  # noqa: E402
from twofold.training.dev_scores import span_f1  # noqa: E402
from twofold.training.examples import Example, collate, make_examples  # noqa: E402
from twofold.training.frozen_text import with_precomputed_text  # noqa: E402
from twofold.training.loop import TrainingData  # noqa: E402

LABELS = ["O", "B-LOC", "I-LOC"]
SIGN = Region((0, 0, 1, 1), "welcome to rome", kind="text")
POSTS = [
    Post(1, "off to Rome now", alt_text="a city"),
    Post(2, "hi"),
    Post(3, "lunch in New York. " * 6, alt_text="a table", regions=(SIGN,)),
    Post(4, "off to Rome now"),
]


@pytest.fixture
def made(config: Config) -> tuple:
    text = load_text_encoder(config.model.text_encoder)
    torch.manual_seed(0)
    model = build_model(config.model, LABELS, text, None).eval()
    pieces = WindowTokenizer(text.tokenizer, 48, 4, text.pad_id)
    examples = make_examples(POSTS, [{}] * len(POSTS), pieces, LABELS)
    material = TrainingData(examples, {"dev": examples[:2]}, {}, span_f1)
    return model, material


def frozen(
    model: MultimodalModel, material: TrainingData, sources: tuple[str, ...] = ("alt_text",)
) -> TrainingData:
    return with_precomputed_text(material, model.text, sources, torch.device("cpu"), lambda line: None)


def same(one: list[Example], other: list[Example], made: tuple, tables: dict) -> None:
    model, _ = made
    with torch.no_grad():
        running = model(collate(one, {}, model.text.pad_id))
        known = model(collate(other, tables, model.text.pad_id))
    assert (running.present == known.present).all()
    torch.testing.assert_close(running.emissions, known.emissions, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(running.share, known.share, atol=2e-2, rtol=1e-2)


def test_a_batch_gives_what_running_the_encoder_gives(made: tuple) -> None:
    model, material = made
    known = frozen(model, material)
    assert [e.window for e in known.train] == [e.window for e in material.train]
    same(material.train, known.train, made, known.tables)
    same(material.train[1:2], known.train[1:2], made, known.tables)  # a batch without any alt text
    same(material.dev["dev"], known.dev["dev"], made, known.tables)


def test_the_encoder_is_not_run_again(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, material = made
    known = frozen(model, material)
    monkeypatch.setattr(model.text, "forward", lambda *args: pytest.fail("the encoder was run"))
    batch = collate(known.train, known.tables, model.text.pad_id)
    model.train()
    loss = model.loss(model(batch), batch)
    loss.backward()
    assert all(p.grad is None for p in model.text.parameters())
    assert any(p.grad is not None for p in model.words.parameters())


def test_equal_rows_of_pieces_are_encoded_once(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, material = made
    rows: list[int] = []
    run = model.text.forward
    monkeypatch.setattr(model.text, "forward", lambda ids, mask: (rows.append(len(ids)), run(ids, mask))[1])
    known = frozen(model, material)
    windows = {tuple(e.window.ids) for e in material.train}
    assert sum(rows) == len(windows) + 2 < len(material.train) + 3
    assert known.train[0].aligned[WORDS] == known.train[-1].aligned[WORDS]


def test_only_sources_of_the_model_are_kept_and_others_stay(made: tuple) -> None:
    model, material = made
    before = [e._replace(aligned={"neighbours": [0] * len(e.targets)}) for e in material.train]
    known = frozen(model, TrainingData(before, {}, {"neighbours": "table"}, span_f1))
    assert set(known.tables) == {"neighbours", WORDS, "alt_text"}
    assert all(not e.texts and "neighbours" in e.aligned for e in known.train)
    everything = frozen(model, material, ("alt_text", "ocr"))
    assert set(everything.tables) == {WORDS, "alt_text", "ocr"}


def test_the_mode_of_the_encoder_is_left_as_it_was(made: tuple) -> None:
    model, material = made
    model.text.train()
    frozen(model, material)
    assert model.text.training


def test_the_encoder_runs_as_in_use_although_the_model_is_in_training(made: tuple) -> None:
    """Neither dropout nor hidden pieces: what is kept is what is read later."""
    model, material = made
    model.text.train().token_masking = 0.9
    known = frozen(model, material)
    model.eval()
    same(material.train, known.train, made, known.tables)


def test_progress_is_told(made: tuple, tmp_path: Path) -> None:
    model, material = made
    lines: list[str] = []
    with_precomputed_text(material, model.text, (), torch.device("cpu"), lines.append)
    count = len({tuple(e.window.ids) for e in material.train})
    assert lines[-1] == f"texts encoded: {count} of {count}"
