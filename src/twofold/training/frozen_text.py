"""States of a frozen text encoder, computed once: a training step then runs only the layers after it.

The states of a window never change, so every distinct row of pieces (windows of posts, and texts of
modalities) is encoded once and its states are kept in memory, in half precision. There is no token masking
and no dropout in the encoder then: it works as at inference.

Shapes: P distinct rows of pieces, T word pieces, D width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.encoders.text import TextEncoder
from twofold.inference.modality_states import batches
from twofold.models.multimodal import WORDS
from twofold.preprocessing.word_pieces import pad
from twofold.training.examples import Example, FeatureTable
from twofold.training.loop import TrainingData

Pieces = tuple[int, ...]
Half = NDArray[np.float16]

_BATCH_SIZE = 64


def with_precomputed_text(
    data: TrainingData,
    encoder: TextEncoder,
    modalities: Sequence[str],
    device: torch.device,
    log: Callable[[str], None],
) -> TrainingData:
    """The same training data with the encoder's states of every text instead of its pieces.

    Args:
        data: examples whose words and texts are word pieces.
        encoder: frozen; moved to the device.
        modalities: those of the model; texts of others are left out.
        device: where the encoder runs.
        log: called with a line of progress now and then.
    """
    groups = [data.train, *data.dev.values()]
    examples = [example for group in groups for example in group]
    texts = {name for example in examples for name in example.texts if name in modalities}
    rows = dict.fromkeys(row for example in examples for row in _rows(example, texts))
    table, offset_of = _encoded(list(rows), encoder.to(device), device, log)

    def with_rows(group: Iterable[Example]) -> list[Example]:
        return [_with_rows(example, texts, offset_of) for example in group]

    return dataclasses.replace(
        data,
        train=with_rows(data.train),
        dev={name: with_rows(group) for name, group in data.dev.items()},
        tables={**data.tables, **dict.fromkeys((WORDS, *sorted(texts)), table)},
    )


def _rows(example: Example, texts: Iterable[str]) -> list[Pieces]:
    return [
        tuple(example.window.ids),
        *(tuple(example.texts[name]) for name in texts if name in example.texts),
    ]


def _with_rows(example: Example, texts: Iterable[str], offset_of: Mapping[Pieces, int]) -> Example:
    """The example with the row in the table of each word's first piece, and of each piece of its texts."""
    begin = offset_of[tuple(example.window.ids)]
    aligned = {WORDS: [begin + first for first in example.window.first]}
    for name in texts:
        if name in example.texts:
            pieces = tuple(example.texts[name])
            aligned[name] = list(range(offset_of[pieces], offset_of[pieces] + len(pieces)))
    return example._replace(texts={}, aligned={**example.aligned, **aligned})


@torch.inference_mode()
def _encoded(
    rows: Sequence[Pieces], encoder: TextEncoder, device: torch.device, log: Callable[[str], None]
) -> tuple[FeatureTable, dict[Pieces, int]]:
    """States (ΣT, 1, D) of all pieces, and the offset of the first piece of each row."""
    offsets = np.cumsum([0, *map(len, rows)])
    states: Half = np.zeros((int(offsets[-1]), 1, encoder.width), np.float16)
    was_training, done = encoder.training, 0
    encoder.eval()
    for batch in batches([len(row) for row in rows], _BATCH_SIZE):
        ids, mask = (torch.from_numpy(x).to(device) for x in pad([rows[i] for i in batch], encoder.pad_id))
        encoded = encoder(ids, mask).float().clamp(-65504, 65504).half().cpu().numpy()  # (B, T, D)
        for i, row in zip(batch, encoded, strict=True):
            states[offsets[i] : offsets[i + 1], 0] = row[: len(rows[i])]
        done += len(batch)
        log(f"texts encoded: {done} of {len(rows)}")
    encoder.train(was_training)
    table = FeatureTable(states, np.ones(len(states), np.int64))
    return table, dict(zip(rows, offsets[:-1].tolist(), strict=True))
