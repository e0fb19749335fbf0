"""Random text encoders of a few kilobytes, one per family, saved with tokenizers as the hub saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf
from tokenizers import pre_tokenizers

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SMALL = {
    "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 40, "hidden_dropout_prob": 0.1,
}  # fmt: skip
Made = tuple[hf.PreTrainedModel, hf.PreTrainedTokenizerBase]


def _word_piece(kind: type[hf.PreTrainedTokenizerBase]) -> hf.PreTrainedTokenizerBase:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), "#", "."]
    return kind(vocab={name: i for i, name in enumerate(names)})


def _byte_level(kind: type[hf.PreTrainedTokenizerBase], special: list[str]) -> hf.PreTrainedTokenizerBase:
    """A BPE over bytes with one merge: a space and the letter after it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*special, *alphabet, *(f"Ġ{c}" for c in LETTERS)]
    return kind(vocab={name: i for i, name in enumerate(names)}, merges=[("Ġ", c) for c in LETTERS])


def _unigram(kind: type[hf.PreTrainedTokenizerBase], special: list[str]) -> hf.PreTrainedTokenizerBase:
    pieces = ["▁", *(f"▁{c}" for c in LETTERS), *LETTERS, "#", "."]
    return kind(vocab=[*((name, 0.0) for name in special), *((name, -2.0) for name in pieces)])


def _bert() -> Made:
    tokenizer = _word_piece(hf.BertTokenizer)
    return hf.BertModel(hf.BertConfig(vocab_size=len(tokenizer), **_SMALL)), tokenizer


def _distilbert() -> Made:
    tokenizer = _word_piece(hf.DistilBertTokenizer)
    config = hf.DistilBertConfig(
        vocab_size=len(tokenizer), dim=WIDTH, n_layers=1, n_heads=2, hidden_dim=24, max_position_embeddings=40
    )
    return hf.DistilBertModel(config), tokenizer


def _electra() -> Made:
    tokenizer = _word_piece(hf.ElectraTokenizer)
    return hf.ElectraModel(hf.ElectraConfig(vocab_size=len(tokenizer), embedding_size=8, **_SMALL)), tokenizer


_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_DEBERTA = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]


def _roberta() -> Made:
    tokenizer = _byte_level(hf.RobertaTokenizer, _ROBERTA)
    config = hf.RobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **_SMALL)
    return hf.RobertaModel(config), tokenizer


def _xlm_roberta() -> Made:
    tokenizer = _unigram(hf.XLMRobertaTokenizer, _ROBERTA[:4])
    config = hf.XLMRobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, **_SMALL)
    return hf.XLMRobertaModel(config), tokenizer


def _mpnet() -> Made:
    names = [*_ROBERTA[:3], "[UNK]", "<mask>", *LETTERS, *(f"##{c}" for c in LETTERS), "#", "."]
    tokenizer = hf.MPNetTokenizer(vocab={name: i for i, name in enumerate(names)})
    return hf.MPNetModel(hf.MPNetConfig(vocab_size=len(tokenizer), pad_token_id=1, **_SMALL)), tokenizer


def _deberta_v3() -> Made:
    tokenizer = _unigram(hf.DebertaV2Tokenizer, _DEBERTA)
    config = hf.DebertaV2Config(
        vocab_size=len(tokenizer), relative_attention=True, position_buckets=8, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
        pooler_hidden_size=WIDTH, **_SMALL,
    )  # fmt: skip
    return hf.DebertaV2Model(config), tokenizer


def _deberta() -> Made:
    tokenizer = _byte_level(hf.DebertaTokenizer, _DEBERTA)
    config = hf.DebertaConfig(
        vocab_size=len(tokenizer), relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, type_vocab_size=0, pooler_hidden_size=WIDTH, **_SMALL,
    )  # fmt: skip
    return hf.DebertaModel(config), tokenizer


def _modernbert() -> Made:
    tokenizer = _byte_level(hf.DebertaTokenizer, _DEBERTA)
    config = hf.ModernBertConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=1024, pad_token_id=0, cls_token_id=1, sep_token_id=2,
        bos_token_id=1, eos_token_id=2, local_attention=8,
    )  # fmt: skip
    return hf.ModernBertModel(config), tokenizer


TEXT: dict[str, tuple[Callable[[], Made], int]] = {
    "bert": (_bert, 40),
    "distilbert": (_distilbert, 40),
    "electra": (_electra, 40),
    "roberta": (_roberta, 38),
    "xlm-roberta": (_xlm_roberta, 38),
    "mpnet": (_mpnet, 38),
    "deberta": (_deberta, 40),
    "deberta-v3": (_deberta_v3, 40),
    "modernbert": (_modernbert, 512),
}
"""How each family is made, and its longest input."""


def save_text(name: str, folder: Path) -> tuple[Path, hf.PreTrainedModel, hf.PreTrainedTokenizerBase]:
    """Make an encoder and its tokenizer, and save both into a folder."""
    torch.manual_seed(0)
    model, tokenizer = TEXT[name][0]()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer
