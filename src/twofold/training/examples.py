"""From posts to batches.

A post longer than a window gives several examples. Gold spans are tagged over the model's own words;
a word belongs to a span that covers any of it, and spans whose borders fall inside a word are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.fusion.contract import ModalityStates
from twofold.models.multimodal import Batch
from twofold.posts import Entity, Post
from twofold.preprocessing.modalities import TEXTS
from twofold.preprocessing.segmentation import Span, segment_post
from twofold.preprocessing.word_pieces import Pieces, Window, pad


class Example(NamedTuple):
    """One window of one post.

    Attributes:
        post: number of the post. window: its pieces.
        targets: gold tag of each word of the window, or gold class of each slot.
        slots: words that make up each slot; None for a slot a word.
        texts: pieces of each source that the text encoder reads; a source the post lacks is not named.
        rows: row in its table of each source that comes as states; likewise.
        aligned: for sources with a state a word, the row of each word of the window, −1 for none.
    """

    post: int
    window: Window
    targets: list[int]
    slots: list[tuple[int, ...]] | None = None
    texts: Mapping[str, list[int]] = {}
    rows: Mapping[str, int] = {}
    aligned: Mapping[str, list[int]] = {}


class Table(NamedTuple):
    """States of one source for many posts.

    Attributes:
        states: (P, N, V) float16.
        counts: (P,) how many of the N elements are real; they come first.
    """

    states: NDArray[np.float16]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Features:
    """Features of distinct pictures.

    Attributes:
        tables: of each source that the picture encoder reads, by name.
        rows: for each post, its row in each of these tables; a source it lacks is not named.
        unreadable: "post id: reason" of each picture that could not be read.
    """

    tables: Mapping[str, Table]
    rows: list[Mapping[str, int]]
    unreadable: list[str]


def labels_of(posts: Sequence[Post]) -> list[str]:
    """``O`` and ``B-X``, ``I-X`` for each entity type of the posts, in alphabetical order."""
    types = sorted({entity.type for post in posts for entity in post.entities or ()})
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def tag_words(words: Sequence[Span], entities: Sequence[Entity], labels: Sequence[str]) -> list[int]:
    """Gold tags of words; types the labels do not know stay ``O``."""
    number = {label: i for i, label in enumerate(labels)}
    tags = [0] * len(words)
    for entity in entities:
        prefix = "B"
        for i, (start, end) in enumerate(words):
            if start < entity.end and end > entity.start:
                tags[i] = number.get(f"{prefix}-{entity.type}", 0)
                prefix = "I"
    return tags


def text_sources(post: Post, pieces: Pieces) -> dict[str, list[int]]:
    """Pieces of each source of a post that the text encoder reads."""
    found = {name: read(post) for name, read in TEXTS.items()}
    return {name: pieces.plain(text) for name, text in found.items() if text}


def make_examples(
    posts: Sequence[Post], rows: Sequence[Mapping[str, int]], pieces: Pieces, labels: Sequence[str]
) -> list[Example]:
    """Examples of all posts; a post without a word gives none. ``rows`` are those of `Features`."""
    examples = []
    for number, post in enumerate(posts):
        words = segment_post(post)
        tags = tag_words(words, post.entities or (), labels)
        texts = text_sources(post, pieces)
        for window in pieces.windows(post.text, words):
            tagged = tags[window.lo : window.hi]
            examples.append(Example(number, window, tagged, texts=texts, rows=rows[number]))
    return examples


def batches(examples: Sequence[Example], size: int, seed: int, epoch: int) -> Iterator[list[Example]]:
    """Batches of like length in random order, the same for the same seed and epoch."""
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(examples))
    pool = size * 40
    groups: list[list[int]] = []
    for begin in range(0, len(order), pool):
        near = sorted(order[begin : begin + pool], key=lambda i: len(examples[i].window.ids))
        groups += [near[i : i + size] for i in range(0, len(near), size)]
    for group in random.permutation(len(groups)):
        yield [examples[i] for i in groups[group]]


def collate(examples: Sequence[Example], tables: Mapping[str, Table], pad_id: int) -> Batch:
    """Tensors of a batch; see `Batch`.

    Args:
        examples: posts of the batch.
        tables: states of each source that comes as states, by name.
        pad_id: piece that fills short rows.
    """
    ids, mask = _padded([e.window.ids for e in examples], pad_id)
    first, words = _padded([e.window.first for e in examples], 0)
    forms, _ = _padded([e.window.shapes for e in examples], 0)
    targets, real = _padded([e.targets for e in examples], 0)
    names = sorted({name for e in examples for name in e.texts})
    texts = {name: _padded([e.texts.get(name, []) for e in examples], pad_id) for name in names}
    arrays = {name: _states(examples, name, table) for name, table in tables.items()}
    slots = _slots(examples)
    return Batch(ids, mask, first, forms, words.bool(), targets, real.bool(), slots, texts, arrays)


def _padded(rows: Sequence[list[int]], value: int) -> tuple[torch.Tensor, torch.Tensor]:
    values, mask = pad(rows, value)
    return torch.from_numpy(values), torch.from_numpy(mask)


def _slots(examples: Sequence[Example]) -> torch.Tensor | None:
    if examples[0].slots is None:
        return None
    places = [e.slots or [] for e in examples]
    filled = np.zeros((len(places), max(map(len, places)), len(places[0][0])), np.int64)
    for row, slots in zip(filled, places, strict=True):
        row[: len(slots)] = slots
    return torch.from_numpy(filled)


def _states(examples: Sequence[Example], name: str, table: Table) -> ModalityStates:
    """States of one source for a batch: of each post, or of each word."""
    if any(name in e.aligned for e in examples):
        rows, real = pad([e.aligned.get(name, []) for e in examples], -1)  # (B, W)
        states = table.states[np.maximum(rows, 0), 0].astype(np.float32)  # (B, W, V)
        return ModalityStates(torch.from_numpy(states), torch.from_numpy((rows >= 0) & (real > 0)))
    rows = np.array([e.rows.get(name, -1) for e in examples])
    states = np.zeros((len(examples), *table.states.shape[1:]), np.float32)
    states[rows >= 0] = table.states[rows[rows >= 0]]
    counts = np.zeros(len(examples), np.int64)
    counts[rows >= 0] = table.counts[rows[rows >= 0]]
    mask = np.arange(states.shape[1])[None] < counts[:, None]
    return ModalityStates(torch.from_numpy(states), torch.from_numpy(mask))
