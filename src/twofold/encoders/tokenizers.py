"""Fast tokenizers from the hub, adapted to words that are segmented beforehand.

Words are segmented by our own rule (`twofold.preprocessing.segmentation`), the same for corpora and for raw
posts. Byte-level BPE (RoBERTa, DeBERTa) and SentencePiece (XLM-R, DeBERTa-v3) recognise the beginning of a
word by the space before it; a word on its own has none and would be encoded as the middle of another. So
every word is encoded as if a space preceded it. The change is in the tokenizer itself, and so in
``tokenizer.json``.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from twofold.errors import ConfigError


def load_tokenizer(name: str) -> tuple[Any, Tokenizer]:
    """The tokenizer of a model as `transformers` wraps it, and the fast one inside, adapted to words.

    Raises:
        ConfigError: the model has no fast tokenizer.
    """
    wrapper = AutoTokenizer.from_pretrained(name)
    inside = getattr(wrapper, "backend_tokenizer", None)
    if not isinstance(inside, Tokenizer):
        raise ConfigError(
            f"{name!r} has no fast tokenizer ({type(wrapper).__name__} is written in Python)",
            where="text_encoder",
            expected="a model whose tokenizer can be saved as one tokenizer.json, as for nearly all models",
            do="use a similar model that has one (for BERTweet, a RoBERTa trained on tweets)",
        )
    return wrapper, with_prefix_space(inside)


def with_prefix_space(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, which encodes every word as one that follows a space."""
    raw = json.loads(tokenizer.to_str())
    spaced = _spaced(raw.get("pre_tokenizer"))
    if spaced == raw.get("pre_tokenizer"):
        return tokenizer
    return Tokenizer.from_str(json.dumps(raw | {"pre_tokenizer": spaced}))


def _spaced(step: dict[str, Any] | None) -> dict[str, Any] | None:
    """A pre-tokenizer with its steps changed where they depend on the space before a word."""
    if step is None:
        return None
    if step["type"] == "Sequence":
        return step | {"pretokenizers": [_spaced(inner) for inner in step["pretokenizers"]]}
    return step | _SPACED.get(step["type"], {})


_SPACED: dict[str, dict[str, Any]] = {
    "ByteLevel": {"add_prefix_space": True},
    "Metaspace": {"prepend_scheme": "always"},
}
