"""From posts to emissions and evidence for every word: the one path that all use goes through.

Extraction, evaluation and calibration read posts here, in windows where a post is long. Windows of like
length share a batch, bounded in rows and in pieces; a text that stands twice in a batch is encoded once,
an alternative text once in all posts read together. It does not decode.

Shape letters: B windows in a batch, T word pieces, W words, D width of text states, N elements of a
source, V its width, K tags, M sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.posts import PictureReport, Post
from twofold.runtime.folder import FolderConfig, ModelFolder
from twofold.runtime.pictures import FeatureCache
from twofold.runtime.pieces import Pieces, Window, pad
from twofold.runtime.regions import NO_PICTURE, Image, PictureReading, RegionReader
from twofold.runtime.sessions import FusionOutput, Sessions
from twofold.segmentation import Span, segment_post

Floats = NDArray[np.float32]

_PIECES_A_ROW = 64
"""A batch of n rows holds at most n times as many pieces, padding included; a single row may be longer."""
_NOT_LOOKED_AT = PictureReading(PictureReport("none", "this model looks at no pictures"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model saw in one post.

    Attributes:
        post: the post.
        words: W words.
        picture: what became of the picture.
        sources: True for each of the M sources that the post has.
        emissions: (W, K).
        evidence: (M, 4, W, K) δ, γ, α, β of each source; None for models without evidence and for
            posts without words.
        fused: (4, W, K) δ, γ, α, β after pooling; None likewise.
        share: (M, W, K) part of each source, summing to 1 over those present; None likewise.
    """

    post: Post
    words: list[Span]
    picture: PictureReport
    sources: tuple[bool, ...]
    emissions: Floats
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


class _Row(NamedTuple):
    """A window of the post with this number."""

    post: int
    window: Window


class Reader:
    """The network of a model folder.

    Args:
        folder: a checked model folder.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.
    """

    def __init__(
        self, folder: ModelFolder, threads: int | None = None, cache: FeatureCache | None = None
    ) -> None:
        self.config: FolderConfig = folder.config
        self.sessions = Sessions(folder.path, threads)
        text, picture = folder.config.text, folder.config.picture
        self.pieces = Pieces(
            folder.path / "tokenizer.json", text.window_pieces, text.context_words, text.pad_id
        )
        self._regions = RegionReader(self.sessions, picture, cache) if picture else None

    def read(self, posts: Sequence[Post], batch_size: int = 32) -> list[Reading]:
        """Read posts together.

        Args:
            posts: some hundreds at a time; what is read of them stays in memory until all are.
            batch_size: windows in a batch, at most.
        """
        words = [segment_post(post) for post in posts]
        pictures = self._pictures([post.image for post in posts])
        alt_states = self._alt_states(posts, batch_size)
        rows = [
            _Row(i, window)
            for i, post in enumerate(posts)
            for window in self.pieces.windows(post.text, words[i])
        ]
        parts: list[list[FusionOutput]] = [[] for _ in posts]
        done = self._windows(rows, posts, (pictures, alt_states), batch_size)
        for row, output in sorted(done, key=lambda item: (item[0].post, item[0].window.lo)):
            parts[row.post].append(output)
        return [
            self._reading(*item) for item in zip(posts, words, pictures, parts, strict=True)
        ]  # fmt: skip

    # --- sources besides the text --------------------------------------------------------------------

    def _pictures(self, images: Sequence[Image | None]) -> list[PictureReading]:
        if self._regions is None:
            return [NO_PICTURE if image is None else _NOT_LOOKED_AT for image in images]
        return self._regions.read(images)

    def _alt_states(self, posts: Sequence[Post], batch_size: int) -> dict[str, Floats]:
        """States (T, D) of each distinct alternative text."""
        if "alt_text" not in self.config.sources:
            return {}
        texts = list({post.alt_text: None for post in posts if post.alt_text})
        ids = [self.pieces.plain(text) for text in texts]
        states: dict[str, Floats] = {}
        for batch in batches([len(row) for row in ids], batch_size):
            output = self.sessions.text(*pad([ids[i] for i in batch], self.pieces.pad_id))
            states |= {texts[i]: row[: len(ids[i])].copy() for i, row in zip(batch, output, strict=True)}
        return states

    # --- batches of windows --------------------------------------------------------------------------

    def _windows(
        self,
        rows: Sequence[_Row],
        posts: Sequence[Post],
        others: tuple[Sequence[PictureReading], Mapping[str, Floats]],
        batch_size: int,
    ) -> Iterator[tuple[_Row, FusionOutput]]:
        """Each window with what the network says of its core, (…, W, K) without the batch axis."""
        pictures, alt_states = others
        # Equal texts lie side by side, so that they share a batch.
        rows = sorted(rows, key=lambda row: (len(row.window.ids), row.window.ids))
        for batch in batches([len(row.window.ids) for row in rows], batch_size):
            chosen = [rows[i] for i in batch]
            found: dict[str, list[NDArray[Any] | None]] = {
                "picture": [pictures[row.post].regions for row in chosen],
                "alt_text": [alt_states.get(posts[row.post].alt_text or "") for row in chosen],
            }
            output = self._network([row.window for row in chosen], found)
            yield from ((row, _core(output, i, row.window)) for i, row in enumerate(chosen))

    def _network(
        self, windows: Sequence[Window], others: Mapping[str, Sequence[NDArray[Any] | None]]
    ) -> FusionOutput:
        forms, mask = pad([window.shapes for window in windows], 0)
        inputs: dict[str, NDArray[Any]] = {
            "words": self._word_states(windows),
            "shapes": forms,
            "word_mask": mask.astype(bool),
        }
        for source in self.config.sources[1:]:
            states, present = _stack(others[source], self._width(source))
            inputs |= {source: states, f"{source}_mask": present}
        return self.sessions.fuse(inputs)

    def _word_states(self, windows: Sequence[Window]) -> Floats:
        """State of each word's first piece, (B, W, D); 0 where padded."""
        number: dict[tuple[int, ...], int] = {}
        copies = [number.setdefault(tuple(window.ids), len(number)) for window in windows]
        states = self.sessions.text(*pad(list(number), self.pieces.pad_id))  # (distinct, T, D)
        first, mask = pad([window.first for window in windows], 0)
        words: Floats = states[np.array(copies)[:, None], first] * mask[:, :, None].astype(np.float32)
        return words

    def _width(self, source: str) -> int:
        picture = self.config.picture
        return picture.width if source == "picture" and picture else self.config.text.width

    def _reading(
        self, post: Post, words: list[Span], picture: PictureReading, parts: Sequence[FusionOutput]
    ) -> Reading:
        there = {
            "text": True,
            "picture": picture.regions is not None,
            "alt_text": bool(post.alt_text),
        }
        sources = tuple(there[source] for source in self.config.sources)
        if not parts:
            nothing = np.zeros((0, len(self.config.labels)), np.float32)
            return Reading(post, words, picture.report, sources, nothing)
        joined = FusionOutput(*(_join([part[i] for part in parts]) for i in range(len(parts[0]))))  # type: ignore[arg-type]
        return Reading(post, words, picture.report, sources, *joined)


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Positions of rows of like length, at most ``size`` together and bounded in pieces.

    Args:
        lengths: pieces of each row.
        size: rows in a batch, at most.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = len(batch) == size or lengths[i] * (len(batch) + 1) > size * _PIECES_A_ROW
        if batch and full:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _core(output: FusionOutput, row: int, window: Window) -> FusionOutput:
    keep = slice(window.keep_lo - window.lo, window.keep_hi - window.lo)
    # Copied, so that the batch it is cut from can go.
    return FusionOutput(*(None if x is None else x[row][..., keep, :].copy() for x in output))  # type: ignore[arg-type]


def _join(parts: Sequence[Floats | None]) -> Floats | None:
    real = [part for part in parts if part is not None]
    if not real:
        return None
    return real[0] if len(real) == 1 else np.concatenate(real, axis=-2)


def _stack(rows: Sequence[NDArray[Any] | None], width: int) -> tuple[Floats, NDArray[np.bool_]]:
    """States (B, N, V) and mask (B, N) of a source; rows that do not have it are masked whole."""
    longest = max((len(row) for row in rows if row is not None), default=1)
    states = np.zeros((len(rows), longest, width), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        if row is not None:
            states[i, : len(row)], mask[i, : len(row)] = row, True
    return states, mask


def chunks(posts: Iterable[Post], batch_size: int) -> Iterator[list[Post]]:
    """Posts in groups that are read together.

    The first group is one batch, so that the first results come soon; later ones are eight, so that
    rows of like length are found. A group ends early where its texts are long.

    Args:
        posts: taken only as they are needed.
        batch_size: windows in a batch.
    """
    group: list[Post] = []
    size, characters = batch_size, 0
    for post in posts:
        group.append(post)
        characters += len(post.text) + len(post.alt_text or "")
        if len(group) >= size or characters > 200 * size:
            yield group
            group, size, characters = [], 8 * batch_size, 0
    if group:
        yield group
