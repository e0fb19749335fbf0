"""The graphs of one model folder at work: from windows of posts to what the network says of their slots.

Windows of like length share a batch, bounded in rows and in pieces; a text that stands twice in a batch is
encoded once. A second model borrows what it has in common with a first, byte for byte: graphs, which are
then opened once, the tokenizer, and the sources that were read already. It does not know what slots mean.

Shape letters: B rows in a batch, T word pieces, W words of a window, D width of text states, N elements of
a source, S slots, P words of a slot, K outputs, M sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ModelError
from twofold.inference.modality_states import PostSources, SourceReader, batches, stack
from twofold.inference.onnx_sessions import FusionOutput, Sessions
from twofold.model_folder.folder import ModelFolder
from twofold.posts import Post
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.modalities import TEXTS, VISUAL
from twofold.preprocessing.semantic_augmentation import FILES, SOURCE, Neighbours
from twofold.preprocessing.word_pieces import Pieces, Window, pad

Floats = NDArray[np.float32]

_READ_BY = dict.fromkeys(VISUAL, "picture") | dict.fromkeys(TEXTS, "text") | {SOURCE: "neighbours"}
"""What reads a source: an encoder, or a table of words."""


class Row(NamedTuple):
    """A window to be read.

    Attributes:
        post: number of its post, among those whose sources were read together.
        window: its words.
        slot: words of the window that make up its one slot; None for a slot a word.
    """

    post: int
    window: Window
    slot: tuple[int, ...] | None = None


class Network:
    """The network of a model folder.

    Args:
        folder: a checked model folder.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.
        lender: a network to borrow from.

    Raises:
        ModelError: the model wants sources that this version cannot read.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        lender: Network | None = None,
    ) -> None:
        _check_sources(folder)
        self.folder = folder
        same = same_encoders(folder, lender.folder) if lender else frozenset()
        lent = same_graphs(folder, lender.folder) if lender else frozenset()
        self.sessions: Sessions = Sessions(folder.path, threads, {n: lender.sessions for n in lent if lender})
        self.pieces: Pieces = lender.pieces if lender and "text" in same else _pieces(folder)
        self._neighbours = _neighbours(folder)
        self.sources = SourceReader(self.sessions, folder.config, self.pieces, cache, self._neighbours)
        self._borrowed = [n for n in folder.config.sources[1:] if _READ_BY.get(n) in same]

    def read_sources(
        self, posts: Sequence[Post], batch_size: int, known: PostSources | None = None
    ) -> PostSources:
        """Sources of posts besides their words.

        Args:
            posts: some hundreds at a time.
            batch_size: texts in a batch, at most.
            known: those that were read already, just as here.
        """
        return self.sources.read(posts, batch_size, known)

    def same(self, found: PostSources) -> PostSources:
        """Of what the lender read, the sources that are read just so here."""
        return found.part(range(len(found.pictures)), self._borrowed)

    def run(
        self, rows: Sequence[Row], found: PostSources, batch_size: int
    ) -> Iterator[tuple[int, FusionOutput]]:
        """Number of each row with what the network says of its slots, without the batch axis; in any order.

        The arrays are views of a batch: copy what is to stay.
        """
        # Equal texts lie side by side, so that they share a batch.
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i].window.ids), rows[i].window.ids))
        for batch in batches([len(rows[i].window.ids) for i in order], batch_size):
            chosen = [order[i] for i in batch]
            output = self._fuse([rows[i] for i in chosen], found.states)
            yield from ((number, _one(output, i)) for i, number in enumerate(chosen))

    def _fuse(self, rows: Sequence[Row], others: Mapping[str, Sequence[NDArray[Any] | None]]) -> FusionOutput:
        windows = [row.window for row in rows]
        forms, mask = pad([window.shapes for window in windows], 0)
        inputs: dict[str, NDArray[Any]] = {
            "words": self._word_states(windows),
            "shapes": forms,
            "word_mask": mask.astype(bool),
        }
        for name, states in others.items():
            if self._neighbours is not None and name == SOURCE:
                stacked, present = self._neighbours.of_windows(windows)
            else:
                stacked, present = stack([states[row.post] for row in rows], self.sources.width(name))
            inputs |= {name: stacked, f"{name}_mask": present}
        slots = [row.slot for row in rows if row.slot is not None]
        if slots:
            inputs["slots"] = np.array(slots, np.int64)[:, None]  # (B, 1, P)
        return self.sessions.fuse(inputs)

    def _word_states(self, windows: Sequence[Window]) -> Floats:
        """State of each word's first piece, (B, W, D); 0 where padded."""
        number: dict[tuple[int, ...], int] = {}
        copies = [number.setdefault(tuple(window.ids), len(number)) for window in windows]
        states = self.sessions.text(*pad(list(number), self.pieces.pad_id))  # (distinct, T, D)
        first, mask = pad([window.first for window in windows], 0)
        words: Floats = states[np.array(copies)[:, None], first] * mask[:, :, None].astype(np.float32)
        return words


def same_graphs(one: ModelFolder, other: ModelFolder) -> frozenset[str]:
    """Encoders' graphs that two models have in common."""
    return frozenset(name for name in ("text", "picture") if _same(one, other, f"{name}.onnx"))


def same_encoders(one: ModelFolder, other: ModelFolder) -> frozenset[str]:
    """Graphs in common that are fed the same way too, so that the same input gives the same states."""
    ways = {
        "text": one.config.text == other.config.text and _same(one, other, "tokenizer.json"),
        "picture": one.config.picture == other.config.picture,
    }
    return frozenset(name for name in same_graphs(one, other) if ways[name])


def _same(one: ModelFolder, other: ModelFolder, file: str) -> bool:
    return file in one.hashes and one.hashes[file] == other.hashes.get(file)


def _check_sources(folder: ModelFolder) -> None:
    sources = folder.config.sources
    if set(sources[1:]) - set(_READ_BY) or sources[0] != "text":
        raise ModelError(
            f"the model wants the sources {', '.join(sources)}",
            where=str(folder.path),
            expected=f"text, then any of {', '.join(_READ_BY)}",
            do="install a newer Twofold",
        )


def _pieces(folder: ModelFolder) -> Pieces:
    text = folder.config.text
    return Pieces(folder.file("tokenizer.json"), text.window_pieces, text.context_words, text.pad_id)


def _neighbours(folder: ModelFolder) -> Neighbours | None:
    if SOURCE not in folder.config.sources:
        return None
    states, words = (folder.file(name) for name in FILES)
    return Neighbours.open(states, words)


def _one(output: FusionOutput, row: int) -> FusionOutput:
    return FusionOutput(*(None if x is None else x[row] for x in output))  # type: ignore[arg-type]
