"""Semantic augmentation in training: word vectors from a file or the text encoder, neighbours of every word.

The vocabulary is that of the vectors; no corpus is used, neither dev nor test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from twofold.config import ModelConfig, MultigranularConfig
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError
from twofold.models.build import modalities_of
from twofold.preprocessing.semantic_augmentation import MODALITY, Neighbours
from twofold.preprocessing.word_vectors import Vectors, read_vectors
from twofold.training.examples import Example, FeatureTable
from twofold.training.loop import TrainingData


def load_neighbours(config: ModelConfig, text: TextEncoder, log: Callable[[str], None]) -> Neighbours | None:
    """Neighbours of words, for a model that uses them.

    Args:
        config: of the model.
        text: the text encoder.
        log: called with a line on what was found.

    Raises:
        ConfigError: the model uses them and the configuration names no vectors.
        DataError: the file of word vectors cannot be read.
    """
    if MODALITY not in modalities_of(config):
        return None
    name = config.multigranular.augmentation
    vectors = _vectors(config.multigranular, text)
    log(f"augmentation: {len(vectors.words)} words from {name}; finding their nearest neighbours")
    return Neighbours.of(vectors, name)


def _vectors(options: MultigranularConfig, text: TextEncoder) -> Vectors:
    if options.augmentation == "none":
        raise ConfigError(
            f"augmentation is 'none', and {MODALITY} is among the modalities",
            where="[model.multigranular]",
            expected="encoder, or a file of word vectors",
        )
    if options.augmentation == "encoder":
        return encoder_vectors(text, options.augmentation_words)
    return read_vectors(Path(options.augmentation), options.augmentation_words)


def encoder_vectors(text: TextEncoder, limit: int = 0) -> Vectors:
    """Input embeddings of the pieces that are whole words.

    Args:
        text: the text encoder.
        limit: most words; 0 for all.
    """
    found = whole_words(text.tokenizer)
    words = list(found)[: limit or None]
    table = text.word_embeddings.weight.detach().float().cpu().numpy()  # type: ignore[operator]
    return Vectors(words, table[[found[word] for word in words]])


def whole_words(tokenizer: Tokenizer) -> dict[str, int]:
    """Words that the tokenizer encodes as one piece, with its id, in the order of the vocabulary.

    A piece counts where its decoded text is encoded as that piece again. This works for any kind of
    tokenizer: its own decoder spells "##ing", "Ġthe" and "▁the", and a piece that only continues a word does
    not come back. Special pieces are not words.
    """
    tokenizer = Tokenizer.from_str(tokenizer.to_str())  # a copy, to switch truncation and padding off
    tokenizer.no_truncation()
    tokenizer.no_padding()
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    numbers = [i for i in sorted(tokenizer.get_vocab().values()) if i not in special]
    decoded = [tokenizer.decode([i]).strip() for i in numbers]
    encoded = tokenizer.encode(decoded, is_pretokenized=True, add_special_tokens=False)
    pieces: list[list[int]] = [[] for _ in decoded]
    for piece, word in zip(encoded.ids, encoded.word_ids, strict=True):
        if word is not None:
            pieces[word].append(piece)
    candidates = zip(decoded, numbers, pieces, strict=True)
    return {word: number for word, number, row in candidates if word and row == [number]}


def with_neighbours(data: TrainingData, neighbours: Neighbours | None) -> TrainingData:
    """The same training data with the neighbours of every word; unchanged where there are none."""
    if neighbours is None:
        return data

    def aligned(examples: Sequence[Example]) -> list[Example]:
        return [
            e._replace(aligned={**e.aligned, MODALITY: neighbours.rows_of(e.window.surfaces)})
            for e in examples
        ]

    count, augmented = len(neighbours.words), data.augmented
    table = FeatureTable(neighbours.states(np.arange(count))[:, None], np.ones(count, np.int64))
    return dataclasses.replace(
        data,
        train=aligned(data.train),
        augmented=None if augmented is None else lambda epoch: aligned(augmented(epoch)),
        dev={name: aligned(examples) for name, examples in data.dev.items()},
        tables={**data.tables, MODALITY: table},
    )
