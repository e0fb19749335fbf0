"""A tiny labelled corpus and a tiny random encoder: trainings that take seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

NAMES = {"PER": ["Ada", "Grace Hopper", "Alan"], "LOC": ["Paris", "New York", "Rome"]}
FRAMES = [
    ("PER", "{} says hi"),
    ("PER", "lunch with {} today"),
    ("LOC", "off to {} now"),
    ("LOC", "sunset in {} 😂"),
]


def line(number: int) -> str:
    kind, frame = FRAMES[number % len(FRAMES)]
    name = NAMES[kind][number // len(FRAMES) % 3]
    text = frame.format(name)
    start = text.index(name)
    entity = {"start": start, "end": start + len(name), "text": name, "type": kind}
    post = {"id": number, "text": text, "entities": [entity]}
    return json.dumps(post | ({"alt_text": "a city"} if kind == "LOC" and number % 3 else {})) + "\n"


def write_corpus(folder: Path) -> Path:
    """train.jsonl and dev.jsonl."""
    (folder / "train.jsonl").write_text("".join(map(line, range(36))), encoding="utf-8")
    (folder / "dev.jsonl").write_text("".join(map(line, range(12))), encoding="utf-8")
    return folder


def save_encoder(folder: Path, words: Sequence[str] = (), width: int = 16) -> Path:
    """A random BERT with a WordPiece vocabulary of letters and some words, saved as a hub model is."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    names = [*special, *letters, *(f"##{c}" for c in letters), ".", "#", *words]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names), hidden_size=width, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


_FRAMES = [  # head is {0}
    ("{0} works at {1}", "NASA", "member_of"),
    ("{1} saw {0} here", "NASA", "None"),
    ("{1} pays {0} well", "CERN", "member_of"),
    ("{0} lives in {1}", "paris", "lives_in"),
    ("{0} left {1} once", "paris", "None"),
    ("{0} met {1} here", "CERN", "None"),
]
_TYPES = {"member_of": ("PER", "ORG"), "lives_in": ("PER", "LOC"), "None": ("", "")}  # as MNRE gives types
_PEOPLE = ["Ada", "Alan", "Grace Hopper"]


def relation_line(number: int) -> str:
    """A post with one gold pair, as a line of JSON."""
    frame, tail, relation = _FRAMES[number % len(_FRAMES)]
    head = _PEOPLE[number // len(_FRAMES) % 3]
    text = frame.format(head, tail)
    types = _TYPES[relation]
    arguments = {
        side: {"start": text.index(name), "end": text.index(name) + len(name), "type": kind}
        for side, name, kind in (("head", head, types[0]), ("tail", tail, types[1]))
    }
    post = {"id": number, "text": text, "relations": [arguments | {"type": relation}]}
    return json.dumps(post | ({"alt_text": "a house"} if number % 2 else {})) + "\n"
