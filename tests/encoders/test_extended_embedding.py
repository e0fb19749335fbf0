"""Rows for added tokens: the old ones untouched, the new ones trained."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel  # noqa: E402
from transformers.modeling_outputs import BaseModelOutput  # noqa: E402

from twofold.encoders.extended_embedding import ExtendedEmbedding  # noqa: E402
from twofold.encoders.text import TextEncoder  # noqa: E402

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "paris"]


def encoder(family: str = "bert") -> TextEncoder:
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(NAMES)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    if family == "bert":  # more rows than pieces, which some models have for speed
        backbone = BertModel(BertConfig(vocab_size=16, **sizes), add_pooling_layer=False)
    else:
        backbone = RobertaModel(RobertaConfig(vocab_size=7, **sizes), add_pooling_layer=False)
    return TextEncoder(backbone, tokenizer, 8, 0, 32, 4).eval()


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_old_pieces_are_encoded_as_before_and_new_ones_get_rows(family: str) -> None:
    text = encoder(family)
    ids = torch.tensor([[2, 5, 6, 3]])
    before = text(ids, torch.ones_like(ids))
    text.add_tokens(["<s>", "</s>"])
    torch.testing.assert_close(text(ids, torch.ones_like(ids)), before)
    new = text.tokenizer.encode(["<s>", "ada", "</s>"], is_pretokenized=True).ids
    assert new == [2, 7, 5, 8, 3]
    states = text(torch.tensor([new]), torch.ones(1, 5, dtype=torch.long))
    assert torch.isfinite(states).all()
    assert text.word_embeddings.weight.shape == (9, 8)


def test_only_new_rows_are_trained_where_the_table_is_frozen() -> None:
    text = encoder()
    text.add_tokens(["<s>", "</s>"])
    text.pretrained_embeddings.requires_grad_(False)
    ids = torch.tensor([[2, 7, 5, 8, 3]])
    text(ids, torch.ones_like(ids)).square().sum().backward()
    table = text.word_embeddings
    assert isinstance(table, ExtendedEmbedding)
    assert table.pretrained.weight.grad is None
    assert (table.added.weight.grad != 0).any(1).all()


def test_known_tokens_are_not_added_again() -> None:
    text = encoder()
    text.add_tokens(["ada"])
    assert not isinstance(text.word_embeddings, ExtendedEmbedding)


class Table(torch.nn.Module):
    """A stub backbone: the embedding table alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(16, 8)

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.table

    def set_input_embeddings(self, table: torch.nn.Module) -> None:
        self.table = table

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> BaseModelOutput:
        return BaseModelOutput(self.table(input_ids) * attention_mask.unsqueeze(2))


@pytest.mark.slow
def test_an_extended_table_exports(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from twofold.training.export import export_text

    text = TextEncoder(Table(), encoder().tokenizer, 8, 0, 32, 4).eval()
    text.add_tokens(["<s>", "</s>"])
    export_text(text, tmp_path / "text.onnx")
    ids = torch.tensor([[2, 7, 5, 6, 8, 3], [2, 5, 3, 0, 0, 0], [2, 8, 7, 3, 0, 0]])
    mask = (ids != 0).long()
    with torch.no_grad():
        expected = text(ids, mask)
    session = onnxruntime.InferenceSession(str(tmp_path / "text.onnx"))
    (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    torch.testing.assert_close(torch.from_numpy(found)[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=0)
