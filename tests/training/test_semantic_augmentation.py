"""Semantic augmentation in training: whole words of any tokenizer, and a model that uses them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from safetensors.torch import load_file  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers  # noqa: E402

import twofold  # noqa: E402
from twofold.config import Config, ModelConfig, MultigranularConfig  # noqa: E402
from twofold.encoders.text import TextEncoder, load_text_encoder  # noqa: E402
from twofold.errors import ConfigError, DataError, ModelError  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.models.build import build_model, modalities_of  # noqa: E402
from twofold.preprocessing.semantic_augmentation import FILES, augmentation  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer  # noqa: E402
from twofold.training.examples import collate, make_examples  # noqa: E402
from twofold.training.export import export_fusion  # noqa: E402
from twofold.training.loop import TrainingData  # noqa: E402
from twofold.training.run import train  # noqa: E402
from twofold.training.semantic_augmentation import (  # noqa: E402
    encoder_vectors,
    load_neighbours,
    whole_words,
    with_neighbours,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter warns about its own internals

WORDS = ["sunset", "in", "new", "york", "paris", "rome", "ada", "lunch", "with", "today", "off", "now", "hi"]


def silent(line: str) -> None:
    pass


# --- vocabularies ------------------------------------------------------------------------------------


def word_piece() -> Tokenizer:
    names = ["[PAD]", "[UNK]", "[CLS]", "paris", "in", "##in", "#", "##s", "café"]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]"])
    return tokenizer


def byte_level(prefix: bool) -> Tokenizer:
    letters = sorted({*pre_tokenizers.ByteLevel.alphabet()})
    names = ["<s>", *letters, "in", "Ġin", "Ã©", "Ġi"]
    merges = [("Ġ", "i"), ("Ġi", "n"), ("i", "n"), ("Ã", "©")]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(names)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def sentence_piece() -> Tokenizer:
    names = ["<unk>", "▁in", "in", "▁paris", "▁", "s", "i", "n", "p", "a", "r"]
    tokenizer = Tokenizer(models.Unigram([(t, -float(i)) for i, t in enumerate(names)], 0, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>"])
    return tokenizer


def test_whole_words_of_word_pieces_are_those_that_continue_no_other():
    assert whole_words(word_piece()) == {"paris": 3, "in": 4, "#": 6, "café": 8}


def test_whole_words_of_byte_level_pieces_follow_a_space_where_words_do():
    plain, spaced = whole_words(byte_level(False)), whole_words(byte_level(True))
    tokenizer = byte_level(True)
    assert plain["in"] == tokenizer.token_to_id("in")
    assert spaced["in"] == tokenizer.token_to_id("Ġin")
    assert plain["é"] == tokenizer.token_to_id("Ã©")
    assert "<s>" not in plain


def test_whole_words_of_sentence_pieces_follow_the_mark_of_a_space():
    assert whole_words(sentence_piece()) == {"in": 1, "paris": 3}


@pytest.mark.parametrize("tokenizer", [word_piece(), byte_level(False), byte_level(True), sentence_piece()])
def test_the_encoder_gets_each_whole_word_as_its_piece(tokenizer):
    pieces = WindowTokenizer(tokenizer)
    for word, number in whole_words(tokenizer).items():
        assert pieces.word_pieces(word, [(0, len(word))]) == [[number]]


def test_truncation_of_the_tokenizer_is_ignored_and_kept():
    tokenizer = word_piece()
    tokenizer.enable_truncation(2)
    assert len(whole_words(tokenizer)) == 4
    assert tokenizer.truncation["max_length"] == 2


class _Words(torch.nn.Module):
    """A backbone with nothing but an embedding table."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(count, 6)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.table


def test_vectors_of_the_encoder_are_rows_of_its_table():
    text = TextEncoder(_Words(9), word_piece(), 6, 0, 64, 0)
    vectors = encoder_vectors(text, limit=3)
    assert vectors.words == ["paris", "in", "#"]
    table = text.word_embeddings.weight.detach()
    np.testing.assert_array_equal(vectors.states, table[[3, 4, 6]].numpy())
    found = load_neighbours(ModelConfig(fusion="multigranular"), text, silent)
    whole = augmentation(encoder_vectors(text).states)
    np.testing.assert_allclose(found.states(np.arange(4)), whole, atol=np.abs(whole).max() / 200)


# --- configuration -----------------------------------------------------------------------------------


def test_the_fusion_adds_its_augmentation_unless_it_is_switched_off():
    assert modalities_of(ModelConfig(fusion="multigranular", modalities=("picture",))) == (
        "picture",
        "neighbours",
    )
    off = MultigranularConfig(augmentation="none")
    assert modalities_of(ModelConfig(fusion="multigranular", multigranular=off, modalities=())) == ()
    assert modalities_of(ModelConfig(fusion="text_only", modalities=("picture",))) == ("picture",)


def test_neighbours_without_vectors_are_an_error():
    off = MultigranularConfig(augmentation="none")
    config = ModelConfig(modalities=("neighbours",), multigranular=off)
    with pytest.raises(ConfigError, match="expected encoder, or a file"):
        load_neighbours(config, TextEncoder(_Words(9), word_piece(), 6, 0, 64, 0), silent)


def test_models_without_neighbours_read_no_file(tmp_path):
    nowhere = MultigranularConfig(augmentation=str(tmp_path / "none"))
    text = TextEncoder(_Words(9), word_piece(), 6, 0, 64, 0)
    assert load_neighbours(ModelConfig(multigranular=nowhere), text, silent) is None
    with pytest.raises(DataError, match="cannot be read"):
        load_neighbours(ModelConfig(fusion="multigranular", multigranular=nowhere), text, silent)


# --- whole models ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GloVe's text format, all in lower case."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rows = [f"{word} {' '.join(map(str, random.standard_normal(5)))}\n" for word in WORDS]
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("quick_export")
@pytest.mark.parametrize(("form", "augment"), [("corrected", "gate"), ("faithful", "add")])
def test_an_exported_folder_agrees_with_the_network(
    config: Config, vectors: Path, tmp_path: Path, form: str, augment: str
) -> None:
    options = MultigranularConfig(
        form=form, hidden_size=8, augmentation=str(vectors), augmentation_mode=augment
    )
    chosen = dataclasses.replace(config.model, fusion="multigranular", multigranular=options)
    config = dataclasses.replace(config, model=chosen)
    out = train(config, tmp_path / "model", silent)
    extractor = twofold.load(out)
    assert extractor.pipeline.folder.config.modalities == ("text", "alt_text", "neighbours")
    assert str(vectors.parent) not in (out / "training.toml").read_text(encoding="utf-8")
    text = load_text_encoder(chosen.text_encoder)
    neighbours = load_neighbours(chosen, text, silent)
    model = build_model(chosen, extractor.pipeline.folder.config.labels, text, None, neighbours=5).eval()
    model.load_state_dict(load_file(out.parent / "model.training" / "weights.safetensors"))
    posts = [
        twofold.Post(1, "Sunset in New York with Ada", alt_text="a city at night"),
        twofold.Post(2, "zzz"),
        twofold.Post(3, "lunch in Rome. " * 12),
    ]
    pieces = WindowTokenizer(text.tokenizer, 48, 4, text.pad_id)
    examples = make_examples(posts, [{}] * 3, pieces, extractor.pipeline.folder.config.labels)
    data = with_neighbours(TrainingData(examples, {}, {}, None), neighbours)
    assert any(-1 in e.aligned["neighbours"] for e in data.train)
    with torch.no_grad():
        fused = model(collate(data.train, data.tables, text.pad_id))
    encoded_posts = list(extractor.pipeline.encode(posts))
    assert [encoded.present for encoded in encoded_posts] == [
        (True, True, True), (True, False, False), (True, False, True)
    ]  # fmt: skip
    for i, example in enumerate(examples):
        window = example.window
        kept = slice(window.core_start - window.start, window.core_end - window.start)
        found = encoded_posts[example.post].emissions[window.core_start : window.core_end]
        np.testing.assert_allclose(found, fused.emissions[i, kept].numpy(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_export")
def test_the_default_needs_no_file_of_vectors(config: Config, tmp_path: Path) -> None:
    model = dataclasses.replace(config.model, fusion="multigranular", weights="8bit")
    out = train(dataclasses.replace(config, model=model), tmp_path / "model", silent)
    words = (out / FILES[1]).read_text(encoding="utf-8").split()
    assert set("abc.#") < set(words)
    assert next(iter(twofold.load(out).extract(["off to Rome now"]))).entities
    (out / FILES[0]).unlink()
    with pytest.raises(ModelError, match=FILES[0]):
        twofold.load(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "slot_size"),
    [
        ("corrected", 1),
        pytest.param("corrected", 2, marks=pytest.mark.thorough),
        pytest.param("faithful", 1, marks=pytest.mark.thorough),
    ],
)
def test_the_graph_of_the_fusion_agrees_with_the_module(
    tmp_path: Path, letters: Callable[[], torch.nn.Module], form: str, slot_size: int
) -> None:
    task = {1: "entities", 2: "relations"}[slot_size]
    options = MultigranularConfig(form=form, hidden_size=8)
    widths = {"picture": 7, "objects": 12} if slot_size == 2 else {"objects": 12}
    config = ModelConfig(task=task, fusion="multigranular", modalities=tuple(widths), multigranular=options)
    labels = ["None", "a", "b"] if slot_size == 2 else ["O", "B-X", "I-X"]
    torch.manual_seed(0)
    model = build_model(config, labels, letters(), _Picture(), neighbours=4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    export_fusion(model, [*widths.values(), 4], tmp_path / "fusion.onnx", slot_size)
    session = onnxruntime.InferenceSession(str(tmp_path / "fusion.onnx"))
    random = np.random.default_rng(0)
    for posts, words, regions, pieces in ((1, 1, 1, 1), (3, 9, 49, 6), (2, 6, 4, 7)):
        sizes = {"picture": regions, "objects": pieces}
        counts = {name: (sizes[name], width) for name, width in widths.items()} | {"neighbours": (words, 4)}
        given = {
            "words": random.standard_normal((posts, words, 12)).astype(np.float32),
            "shapes": random.integers(0, 9, (posts, words)),
            "word_mask": np.arange(words) < random.integers(1, words + 1, (posts, 1)),
        }
        for name, (count, width) in counts.items():
            given[name] = random.standard_normal((posts, count, width)).astype(np.float32)
            given[f"{name}_mask"] = random.random((posts, count)) < (0 if posts == 1 else 0.6)
        if slot_size == 2:
            given["slots"] = random.integers(0, words, (posts, 1, 2))
        states = {n: ModalityStates(*(torch.from_numpy(given[k]) for k in (n, f"{n}_mask"))) for n in counts}
        own = [torch.from_numpy(given[name]) for name in ("words", "shapes", "word_mask")]
        slots = torch.from_numpy(given["slots"]) if slot_size == 2 else None
        with torch.no_grad():
            expected = model.fuse(*own, states, slots).emissions.numpy()
        found = session.run(None, given)[0]
        real = given["word_mask"] if slot_size == 1 else np.ones((posts, 1), bool)
        np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


class _Picture:
    """A stub of a picture encoder."""

    width = 7


@pytest.fixture
def letters() -> Callable[[], torch.nn.Module]:
    """A stub of a text encoder, of which only the width is used here."""

    class Letters(torch.nn.Module):
        width = 12

    return Letters
