"""Text encoders from the hub: each family through the real loading code, against `transformers` itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_text import TEXT, WIDTH, save_text  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

from twofold.encoders.hub import check_size  # noqa: E402
from twofold.encoders.text import TextEncoder, load_text_encoder  # noqa: E402
from twofold.encoders.tokenizers import with_prefix_space  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.preprocessing.segmentation import segment  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer, pad  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
SENTENCE = "ada in # paris . x"
SPACED = ("roberta", "deberta", "modernbert", "xlm-roberta", "deberta-v3")


@pytest.fixture(scope="module", params=TEXT)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder, model, wrapper = save_text(request.param, tmp_path_factory.mktemp(request.param))
    return request.param, load_text_encoder(str(folder)).eval(), model, wrapper


def pieces_of(encoder: TextEncoder, **options: int) -> WindowTokenizer:
    return WindowTokenizer(encoder.tokenizer, encoder.max_pieces, 4, encoder.pad_id)


def test_states_are_those_of_the_model(family: tuple) -> None:
    _, encoder, model, _ = family
    pieces = pieces_of(encoder)
    ids, mask = pad([pieces.windows(t, segment(t))[0].ids for t in (SENTENCE, "hi")], encoder.pad_id)
    ids, mask = torch.from_numpy(ids), torch.from_numpy(mask)
    with torch.no_grad():
        found = encoder(ids, mask)
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert found.shape == (*ids.shape, encoder.width)
    assert encoder.width == WIDTH
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()])


def test_padding_changes_nothing(family: tuple) -> None:
    _, encoder, *_ = family
    pieces = pieces_of(encoder)
    rows = [pieces.windows(t, segment(t))[0].ids for t in ("ada in paris and more", "hi")]
    with torch.no_grad():
        together = encoder(*map(torch.from_numpy, pad(rows, encoder.pad_id)))
        alone = encoder(*map(torch.from_numpy, pad(rows[1:], encoder.pad_id)))
    torch.testing.assert_close(together[1, : len(rows[1])], alone[0])


def test_words_are_encoded_as_in_running_text(family: tuple) -> None:
    name, encoder, _, wrapper = family
    pieces = pieces_of(encoder)
    (window,) = pieces.windows(SENTENCE, segment(SENTENCE))
    text = (
        f" {SENTENCE}" if name in SPACED[:3] else SENTENCE
    )  # byte-level BPE: the first word has a space too
    assert window.ids == wrapper(text)["input_ids"]
    first = [encoder.tokenizer.id_to_token(window.ids[position]) for position in window.first]
    marks = {"Ġ", "▁"}
    assert len(first) == 6
    assert all(piece[0] in marks for piece in first) == (name in SPACED)


def test_the_max_input_length_is_exact(family: tuple) -> None:
    name, encoder, *_ = family
    longest = TEXT[name][1]
    assert encoder.max_pieces == longest
    ids = torch.full((1, longest), 7)
    with torch.no_grad():
        assert encoder(ids, torch.ones_like(ids)).isfinite().all()
        if name in ("bert", "roberta", "xlm-roberta", "mpnet"):  # those with a table of positions
            longer = torch.full((1, longest + 1), 7)
            with pytest.raises((IndexError, RuntimeError)):
                encoder(longer, torch.ones_like(longer))


def test_mask_and_padding_pieces_are_those_of_the_tokenizer(family: tuple) -> None:
    _, encoder, _, wrapper = family
    assert encoder.pad_id == wrapper.pad_token_id
    assert encoder.mask_id == wrapper.mask_token_id
    seen: list[torch.Tensor] = []
    hook = encoder.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    encoder.train().token_masking = 1.0
    ids = torch.full((2, 5), 7)
    encoder(ids, torch.ones_like(ids))
    encoder.eval().token_masking = 0.0
    hook.remove()
    assert (seen[0] == wrapper.mask_token_id).all()


def test_a_word_without_pieces_is_unknown_not_padding(family: tuple) -> None:
    _, encoder, _, wrapper = family
    pieces = pieces_of(encoder)
    (row,) = pieces._tokenized([""])
    if row == [pieces._unknown]:  # byte-level BPE and SentencePiece encode the space of the word
        assert row == [wrapper.unk_token_id]
    else:
        assert encoder.tokenizer.id_to_token(row[0]) in ("Ġ", "▁")


def test_every_weight_gets_a_gradient_and_there_is_no_pooler(family: tuple) -> None:
    _, encoder, *_ = family
    encoder.train()
    ids = torch.arange(5, 13).repeat(2, 1)
    encoder(ids, torch.ones_like(ids)).sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None]
    encoder.zero_grad()
    encoder.eval()
    assert without == []


# --- tokenizers --------------------------------------------------------------------------------------


def test_steps_inside_a_sequence_are_changed_too() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    steps = json.loads(with_prefix_space(tokenizer).to_str())["pre_tokenizer"]["pretokenizers"]
    assert [step.get("add_prefix_space") for step in steps] == [None, True]


def test_a_tokenizer_that_ignores_spaces_is_unchanged() -> None:
    tokenizer = Tokenizer(models.WordPiece())
    assert with_prefix_space(tokenizer) is tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert with_prefix_space(tokenizer) is tokenizer


def test_the_saved_tokenizer_encodes_the_same(family: tuple, tmp_path: Path) -> None:
    _, encoder, *_ = family
    encoder.tokenizer.save(str(tmp_path / "tokenizer.json"))
    saved = WindowTokenizer(tmp_path / "tokenizer.json", encoder.max_pieces, 4, encoder.pad_id)
    words = segment(SENTENCE)
    assert saved.windows(SENTENCE, words) == pieces_of(encoder).windows(SENTENCE, words)


# --- models that cannot be loaded --------------------------------------------------------------------


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="minilm") as caught:
        load_text_encoder(str(tmp_path / "none" / "there"))
    assert caught.value.where == "text_encoder"


def test_a_tokenizer_written_in_python_is_an_error(tmp_path: Path) -> None:
    import transformers as hf

    (tmp_path / "vocab.txt").write_text("ada 1\n")
    (tmp_path / "bpe.codes").write_text("#version: 0.2\n")
    tokenizer = hf.BertweetTokenizer(str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes"))
    folder = tmp_path / "model"
    tokenizer.save_pretrained(folder)
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    hf.RobertaModel(hf.RobertaConfig(vocab_size=10, **small)).save_pretrained(folder)
    with pytest.raises(ConfigError, match=r"no fast tokenizer.*tokenizer\.json"):
        load_text_encoder(str(folder))


def test_a_model_that_is_not_an_encoder_is_an_error(tmp_path: Path) -> None:
    import transformers as hf

    hf.T5Config(d_model=8, num_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="t5 model"):
        load_text_encoder(str(tmp_path))


def test_an_encoder_too_large_for_onnx_is_an_error_before_training() -> None:
    small, large = torch.nn.Linear(3, 3), torch.nn.Linear(1 << 15, 1 << 14, device="meta")
    check_size(small, "small/model", "text")
    with pytest.raises(ConfigError, match=r"2\.1 GB of weights.*less than 2 GB"):
        check_size(large, "large/model", "text")
