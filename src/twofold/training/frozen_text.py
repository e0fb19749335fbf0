"""States of a text encoder that is not trained, computed once: each step then costs only what is behind it.

What a frozen encoder says of a window never changes, so every distinct row of pieces (windows of posts, and
texts that are sources) is encoded once and its states are kept in memory, in half precision. Pieces are not
hidden and nothing is dropped inside the encoder then: it works as it does in use.

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
from twofold.training.examples import Example, Table
from twofold.training.loop import Material

Pieces = tuple[int, ...]
Half = NDArray[np.float16]

_AT_ONCE = 64


def with_text_states(
    material: Material,
    encoder: TextEncoder,
    sources: Sequence[str],
    device: torch.device,
    tell: Callable[[str], None],
) -> Material:
    """The same material with what the encoder says of every text in place of its pieces.

    Args:
        material: examples whose words and texts are pieces.
        encoder: not trained any more; moved to the device.
        sources: those of the model; texts of others are left out.
        device: where the encoder runs.
        tell: gets a line of progress now and then.
    """
    groups = [material.train, *material.dev.values()]
    examples = [example for group in groups for example in group]
    texts = {name for example in examples for name in example.texts if name in sources}
    rows = dict.fromkeys(row for example in examples for row in _rows(example, texts))
    table, begin_of = _encoded(list(rows), encoder.to(device), device, tell)

    def placed(group: Iterable[Example]) -> list[Example]:
        return [_placed(example, texts, begin_of) for example in group]

    return dataclasses.replace(
        material,
        train=placed(material.train),
        dev={name: placed(group) for name, group in material.dev.items()},
        tables={**material.tables, **dict.fromkeys((WORDS, *sorted(texts)), table)},
    )


def _rows(example: Example, texts: Iterable[str]) -> list[Pieces]:
    return [
        tuple(example.window.ids),
        *(tuple(example.texts[name]) for name in texts if name in example.texts),
    ]


def _placed(example: Example, texts: Iterable[str], begin_of: Mapping[Pieces, int]) -> Example:
    """The example with the place in the table of each word's first piece, and of each piece of its texts."""
    begin = begin_of[tuple(example.window.ids)]
    aligned = {WORDS: [begin + first for first in example.window.first]}
    for name in texts:
        if name in example.texts:
            pieces = tuple(example.texts[name])
            aligned[name] = list(range(begin_of[pieces], begin_of[pieces] + len(pieces)))
    return example._replace(texts={}, aligned={**example.aligned, **aligned})


@torch.inference_mode()
def _encoded(
    rows: Sequence[Pieces], encoder: TextEncoder, device: torch.device, tell: Callable[[str], None]
) -> tuple[Table, dict[Pieces, int]]:
    """States (ΣT, 1, D) of all pieces, and where those of each row begin."""
    ends = np.cumsum([0, *map(len, rows)])
    states: Half = np.zeros((int(ends[-1]), 1, encoder.width), np.float16)
    was_training, done = encoder.training, 0
    encoder.eval()
    for batch in batches([len(row) for row in rows], _AT_ONCE):
        ids, mask = (torch.from_numpy(x).to(device) for x in pad([rows[i] for i in batch], encoder.pad_id))
        read = encoder(ids, mask).float().clamp(-65504, 65504).half().cpu().numpy()  # (B, T, D)
        for i, row in zip(batch, read, strict=True):
            states[ends[i] : ends[i + 1], 0] = row[: len(rows[i])]
        done += len(batch)
        tell(f"texts encoded: {done} of {len(rows)}")
    encoder.train(was_training)
    table = Table(states, np.ones(len(states), np.int64))
    return table, dict(zip(rows, ends[:-1].tolist(), strict=True))
