"""The exported text encoder of a tagger as the frozen encoder of a relation model.

A model trained on its states gets the same states as at inference, 8-bit weights included. The folder of the
relation model holds the same file, so that one run of it serves entities and relations.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from twofold.config import DEFAULT_TAGGER, TAGGERS_ENCODER
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError
from twofold.inference.onnx_sessions import Sessions
from twofold.model_folder.folder import ModelFolder, open_folder
from twofold.pipeline.extractor import default_folder


def tagger_folder(name: str) -> Path:
    """Folder of a tagger: ``default`` for the one that ships, or a path."""
    return default_folder() if name == DEFAULT_TAGGER else Path(name)


class TaggerEncoder(TextEncoder):
    """The encoder of a tagger's folder, in ONNX Runtime; it cannot be trained.

    Args:
        folder: a checked model folder.
    """

    def __init__(self, folder: ModelFolder) -> None:
        text, tokenizer = folder.config.text, Tokenizer.from_file(str(folder.file("tokenizer.json")))
        pad_id, pieces = text.pad_token_id, text.window_pieces
        super().__init__(_Graph(folder), tokenizer, text.hidden_size, pad_id, pieces, pad_id)
        self.folder = folder
        self.equal_lengths = text.equal_lengths


class _Graph(nn.Module):
    """Called as a backbone of `TextEncoder`."""

    def __init__(self, folder: ModelFolder) -> None:
        super().__init__()
        self._sessions = Sessions(folder.path)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """``last_hidden_state`` (B, T, D) of pieces and mask (B, T)."""
        states = self._sessions.text(input_ids.cpu().numpy(), attention_mask.cpu().numpy())
        return SimpleNamespace(last_hidden_state=torch.from_numpy(states).to(input_ids.device))

    def get_input_embeddings(self) -> nn.Module:
        """Raise an error: there are none outside the graph."""
        raise ConfigError(
            f"the text encoder {TAGGERS_ENCODER!r} has no embedding table",
            where="[model.multigranular] augmentation",
            expected="a file of word vectors, or none",
        )


def load_tagger_encoder(name: str) -> TaggerEncoder:
    """The encoder of a tagger, see `tagger_folder`."""
    return TaggerEncoder(open_folder(tagger_folder(name)))
