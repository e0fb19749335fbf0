"""From posts to batches.

A post longer than a window gives several examples. Gold spans are tagged over the model's own words;
a word belongs to a span that covers any of it, and spans whose borders fall inside a word are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.models.tagger import Batch
from twofold.posts import Entity, Post
from twofold.runtime.pieces import Pieces, Window, pad
from twofold.segmentation import Span, segment_post


class Example(NamedTuple):
    """One window of one post.

    Attributes:
        post: number of the post. window: its pieces.
        tags: gold tag of each word of the window.
        alt_ids: pieces of the alt text, empty where there is none.
        picture: row in the table of features, −1 where there is none.
    """

    post: int
    window: Window
    tags: list[int]
    alt_ids: list[int]
    picture: int


@dataclass(frozen=True, slots=True)
class Features:
    """Features of distinct pictures.

    Attributes:
        table: (P, R, V) float16.
        rows: row of each post's picture, −1 where there is none.
        unreadable: "post id: reason" of each picture that could not be read.
    """

    table: NDArray[np.float16]
    rows: list[int]
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


def make_examples(
    posts: Sequence[Post], rows: Sequence[int], pieces: Pieces, labels: Sequence[str]
) -> list[Example]:
    """Examples of all posts; a post without a word gives none."""
    examples = []
    for number, post in enumerate(posts):
        words = segment_post(post)
        tags = tag_words(words, post.entities or (), labels)
        alt = pieces.plain(post.alt_text) if post.alt_text else []
        for window in pieces.windows(post.text, words):
            examples.append(Example(number, window, tags[window.lo : window.hi], alt, rows[number]))
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


def collate(examples: Sequence[Example], features: NDArray[np.float16], pad_id: int) -> Batch:
    """Tensors of a batch; see `Batch`."""
    ids, mask = pad([e.window.ids for e in examples], pad_id)
    first, words = pad([e.window.first for e in examples], 0)
    forms, _ = pad([e.window.shapes for e in examples], 0)
    tags, _ = pad([e.tags for e in examples], 0)
    alt, alt_mask = pad([e.alt_ids or [pad_id] for e in examples], pad_id)
    alt_mask *= np.array([[bool(e.alt_ids)] for e in examples])
    rows = np.array([e.picture for e in examples])
    regions = np.zeros((len(examples), *features.shape[1:]), np.float32)
    regions[rows >= 0] = features[rows[rows >= 0]]
    seen = np.broadcast_to((rows >= 0)[:, None], regions.shape[:2]).copy()
    arrays = (ids, mask, first, forms, words.astype(bool), tags, alt, alt_mask, regions, seen)
    return Batch(*map(torch.from_numpy, arrays))
