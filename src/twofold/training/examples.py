"""From posts to batches.

A post longer than a window gives several examples. Gold spans become tags of the words of our segmentation; a
word belongs to a span that covers any part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from twofold.fusion.contract import ModalityStates
from twofold.models.multimodal import Batch
from twofold.posts import Entity, Post
from twofold.preprocessing.entity_markers import word_span
from twofold.preprocessing.modalities import TEXTS
from twofold.preprocessing.segmentation import Span, segment_post
from twofold.preprocessing.word_pieces import Window, WindowTokenizer, pad


class Example(NamedTuple):
    """One window of one post.

    Attributes:
        post: number of the post.
        window: its word pieces.
        targets: gold tag of each word of the window, or gold class of each slot.
        slots: words in each slot; None for one slot per word.
        texts: word pieces of each modality that the text encoder encodes; a missing one has no entry.
        rows: row in the feature table of each modality with precomputed features; likewise.
        aligned: for modalities with one state per word, the row of each word of the window, −1 for none.
        convention: features of the annotation convention; () for a model without conventions.
        allowed: for each word of the window, the tags that the annotation allows, as bits (1 << tag); ()
            where all words are annotated.
        marginals: tag probabilities (W, K) from teachers; None for an annotated post.
        arguments: for an example of pairs, first and last word in the window and type of each argument, ""
            for an unknown type.
    """

    post: int
    window: Window
    targets: list[int]
    slots: list[tuple[int, ...]] | None = None
    texts: Mapping[str, list[int]] = {}
    rows: Mapping[str, int] = {}
    aligned: Mapping[str, list[int]] = {}
    convention: tuple[float, ...] = ()
    allowed: Sequence[int] = ()
    marginals: NDArray[np.float16] | None = None
    arguments: Sequence[tuple[int, int, str]] = ()


class FeatureTable(NamedTuple):
    """Precomputed features of one modality for many posts.

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
        tables: of each modality that the picture encoder encodes, by name.
        rows: for each post, its row in each of these tables; a modality that it lacks has no entry.
        unreadable: "post id: reason" of each picture that could not be read.
    """

    tables: Mapping[str, FeatureTable]
    rows: list[Mapping[str, int]]
    unreadable: list[str]


def labels_of(posts: Sequence[Post]) -> list[str]:
    """``O`` and ``B-X``, ``I-X`` for each entity type of the posts, in alphabetical order."""
    types = sorted({entity.type for post in posts for entity in post.entities or ()} - {""})
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def allowed_without_types(targets: Sequence[int], labels: Sequence[str], types: Collection[str]) -> list[int]:
    """The allowed tags (see `Example`) where a corpus does not annotate some types: the gold tag, and for
    ``O`` also the tags of these types; [] for no types."""
    unknown = sum(1 << tag for tag, label in enumerate(labels) if label[2:] in types)
    return [1 << tag | (unknown if tag == 0 else 0) for tag in targets] if types else []


def allowed_by_entities(
    count: int, entities: Sequence[tuple[int, int, str]], labels: Sequence[str]
) -> list[int]:
    """The allowed tags (see `Example`) where only some entities are annotated.

    The words of an entity have its tags, or those of any type where its own is unknown. The word after it
    does not continue it. Other words may have any tag. Of overlapping entities the first counts, those of a
    known type before the others.

    Args:
        count: words in the window.
        entities: first and last word and type of each.
        labels: the tags.
    """
    every = (1 << len(labels)) - 1
    allowed, taken = [every] * count, set[int]()
    for first, last, kind in sorted(dict.fromkeys(entities), key=lambda entity: not entity[2]):
        begins, inside = (_tags(labels, prefix, kind) for prefix in "BI")
        if not begins or not taken.isdisjoint(range(first, last + 1)):
            continue
        allowed[first : last + 1] = [begins, *[inside] * (last - first)]
        taken.update(range(first, last + 1))
        if last + 1 < count and last + 1 not in taken:
            allowed[last + 1] &= ~_tags(labels, "I", "")
    return allowed


def entities_in(post: Post, window: Window) -> list[tuple[int, int, str]]:
    """First and last word in the window and type of each gold entity that lies completely in it."""
    words = segment_post(post)
    spans = ((word_span(words, entity.start, entity.end), entity.type) for entity in post.entities or ())
    return [
        (span[0] - window.start, span[1] - 1 - window.start, kind)
        for span, kind in spans
        if span and window.start <= span[0] and span[1] <= window.end
    ]


def _tags(labels: Sequence[str], prefix: str, kind: str) -> int:
    """Bits of the tags with a prefix and a type, "" for any type."""
    return sum(1 << i for i, tag in enumerate(labels) if tag[0] == prefix and kind in ("", tag[2:]))


def tag_words(words: Sequence[Span], entities: Sequence[Entity], labels: Sequence[str]) -> list[int]:
    """Gold tags of words; an entity of an unknown type is ``O``."""
    number = {label: i for i, label in enumerate(labels)}
    tags = [0] * len(words)
    for entity in entities:
        prefix = "B"
        for i, (start, end) in enumerate(words):
            if start < entity.end and end > entity.start:
                tags[i] = number.get(f"{prefix}-{entity.type}", 0)
                prefix = "I"
    return tags


def text_modalities(post: Post, tokenizer: WindowTokenizer) -> dict[str, list[int]]:
    """Word pieces of each modality of a post that the text encoder encodes."""
    found = {name: read(post) for name, read in TEXTS.items()}
    return {name: tokenizer.encode_text(text) for name, text in found.items() if text}


def make_examples(
    posts: Sequence[Post],
    rows: Sequence[Mapping[str, int]],
    tokenizer: WindowTokenizer,
    labels: Sequence[str],
) -> list[Example]:
    """Examples of all posts; a post without a word gives none. ``rows`` are those of `Features`."""
    examples = []
    for number, post in enumerate(posts):
        words = segment_post(post)
        tags = tag_words(words, post.entities or (), labels)
        texts = text_modalities(post, tokenizer)
        for window in tokenizer.windows(post.text, words):
            tagged = tags[window.start : window.end]
            examples.append(Example(number, window, tagged, texts=texts, rows=rows[number]))
    return examples


def batches(examples: Sequence[Example], size: int, seed: int, epoch: int) -> Iterator[list[Example]]:
    """Batches of examples of similar length in random order, the same for the same seed and epoch.

    Examples with explicit slots, examples with one slot per word and examples with marginals of teachers do
    not share a batch.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(examples))
    pool = size * 40
    groups: list[list[int]] = []
    for begin in range(0, len(order), pool):
        by_length = sorted(order[begin : begin + pool], key=lambda i: len(examples[i].window.ids))
        for kind in range(3):
            same_kind = [i for i in by_length if _kind(examples[i]) == kind]
            groups += [same_kind[i : i + size] for i in range(0, len(same_kind), size)]
    for group in random.permutation(len(groups)):
        yield [examples[i] for i in groups[group]]


def _kind(example: Example) -> int:
    return 1 if example.slots is not None else 2 if example.marginals is not None else 0


def collate(examples: Sequence[Example], tables: Mapping[str, FeatureTable], pad_id: int) -> Batch:
    """Tensors of a batch; see `Batch`.

    Args:
        examples: those of the batch.
        tables: features of each modality that is encoded beforehand, by name.
        pad_id: id of the padding piece.
    """
    ids, mask = _padded([e.window.ids for e in examples], pad_id)
    first, words = _padded([e.window.first for e in examples], 0)
    case, _ = _padded([e.window.case_features for e in examples], 0)
    targets, real = _padded([e.targets for e in examples], 0)
    names = sorted({name for e in examples for name in e.texts})
    texts = {name: _padded([e.texts.get(name, []) for e in examples], pad_id) for name in names}
    states = {name: _states(examples, name, table) for name, table in tables.items()}
    slots = _slots(examples)
    convention = torch.tensor([e.convention for e in examples]) if examples[0].convention else None
    allowed = _allowed(examples)
    marginals = _marginals(examples)
    return Batch(
        ids,
        mask,
        first,
        case,
        words.bool(),
        targets,
        real.bool(),
        slots,
        texts,
        states,
        convention,
        allowed,
        marginals,
    )


def _allowed(examples: Sequence[Example]) -> torch.Tensor | None:
    if not any(e.allowed for e in examples):
        return None
    return _padded([list(e.allowed) or [1 << tag for tag in e.targets] for e in examples], 1)[0]


def _marginals(examples: Sequence[Example]) -> torch.Tensor | None:
    rows = [e.marginals for e in examples if e.marginals is not None]
    if not rows:
        return None
    filled = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[1]), np.float32)
    for padded, row in zip(filled, rows, strict=True):
        padded[: len(row)] = row
    return torch.from_numpy(filled)


def _padded(rows: Sequence[list[int]], value: int) -> tuple[torch.Tensor, torch.Tensor]:
    values, mask = pad(rows, value)
    return torch.from_numpy(values), torch.from_numpy(mask)


def _slots(examples: Sequence[Example]) -> torch.Tensor | None:
    if examples[0].slots is None:
        return None
    rows = [e.slots or [] for e in examples]
    filled = np.zeros((len(rows), max(map(len, rows)), len(rows[0][0])), np.int64)
    for row, slots in zip(filled, rows, strict=True):
        row[: len(slots)] = slots
    return torch.from_numpy(filled)


def _states(examples: Sequence[Example], name: str, table: FeatureTable) -> ModalityStates:
    """States of one modality for a batch: of each post, or of each word."""
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
