"""Precomputed states of a frozen text encoder give the same results as running it every time."""

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
    data = TrainingData(examples, {"dev": examples[:2]}, {}, span_f1)
    return model, data


def frozen(
    model: MultimodalModel, data: TrainingData, modalities: tuple[str, ...] = ("alt_text",)
) -> TrainingData:
    return with_precomputed_text(data, model.text, modalities, torch.device("cpu"), lambda line: None)


def assert_same_output(one: list[Example], other: list[Example], made: tuple, tables: dict) -> None:
    model, _ = made
    with torch.no_grad():
        running = model(collate(one, {}, model.text.pad_id))
        precomputed = model(collate(other, tables, model.text.pad_id))
    assert (running.present == precomputed.present).all()
    torch.testing.assert_close(running.emissions, precomputed.emissions, atol=2e-2, rtol=1e-2)
    torch.testing.assert_close(running.share, precomputed.share, atol=2e-2, rtol=1e-2)


def test_precomputed_states_give_the_same_output_as_the_encoder(made: tuple) -> None:
    model, data = made
    known = frozen(model, data)
    assert [e.window for e in known.train] == [e.window for e in data.train]
    assert_same_output(data.train, known.train, made, known.tables)
    assert_same_output(data.train[1:2], known.train[1:2], made, known.tables)  # a batch without any alt text
    assert_same_output(data.dev["dev"], known.dev["dev"], made, known.tables)


def test_the_encoder_is_not_run_again(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = made
    known = frozen(model, data)
    monkeypatch.setattr(model.text, "forward", lambda *args: pytest.fail("the encoder was run"))
    batch = collate(known.train, known.tables, model.text.pad_id)
    model.train()
    loss = model.loss(model(batch), batch)
    loss.backward()
    assert all(p.grad is None for p in model.text.parameters())
    assert any(p.grad is not None for p in model.words.parameters())


def test_equal_rows_of_pieces_are_encoded_once(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = made
    rows: list[int] = []
    run = model.text.forward
    monkeypatch.setattr(model.text, "forward", lambda ids, mask: (rows.append(len(ids)), run(ids, mask))[1])
    known = frozen(model, data)
    windows = {tuple(e.window.ids) for e in data.train}
    assert sum(rows) == len(windows) + 2 < len(data.train) + 3
    assert known.train[0].aligned[WORDS] == known.train[-1].aligned[WORDS]


def test_only_modalities_of_the_model_are_encoded_and_other_tables_stay(made: tuple) -> None:
    model, data = made
    before = [e._replace(aligned={"neighbours": [0] * len(e.targets)}) for e in data.train]
    known = frozen(model, TrainingData(before, {}, {"neighbours": "table"}, span_f1))
    assert set(known.tables) == {"neighbours", WORDS, "alt_text"}
    assert all(not e.texts and "neighbours" in e.aligned for e in known.train)
    everything = frozen(model, data, ("alt_text", "ocr"))
    assert set(everything.tables) == {WORDS, "alt_text", "ocr"}


def test_the_mode_of_the_encoder_is_restored(made: tuple) -> None:
    model, data = made
    model.text.train()
    frozen(model, data)
    assert model.text.training


def test_the_encoder_runs_as_at_inference_even_if_the_model_is_in_training(made: tuple) -> None:
    """Neither dropout nor token masking changes the precomputed states."""
    model, data = made
    model.text.train().token_masking = 0.9
    known = frozen(model, data)
    model.eval()
    assert_same_output(data.train, known.train, made, known.tables)


def test_progress_is_logged(made: tuple, tmp_path: Path) -> None:
    model, data = made
    lines: list[str] = []
    with_precomputed_text(data, model.text, (), torch.device("cpu"), lines.append)
    count = len({tuple(e.window.ids) for e in data.train})
    assert lines[-1] == f"texts encoded: {count} of {count}"
