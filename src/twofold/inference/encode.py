"""From posts to emissions and evidence for every word: the one path that all use goes through.

Extraction, evaluation and calibration read posts here, in windows where a post is long. It does not decode.

Shape letters: W words, K tags, M sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.inference.modality_states import PostSources
from twofold.inference.network import Network, Row
from twofold.inference.onnx_sessions import FusionOutput
from twofold.model_folder.config import FolderConfig
from twofold.model_folder.folder import ModelFolder
from twofold.posts import PictureReport, Post
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.segmentation import Span, segment_post
from twofold.preprocessing.word_pieces import Window

Floats = NDArray[np.float32]


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
        self.network = Network(folder, threads, cache)

    def read(
        self, posts: Sequence[Post], batch_size: int = 32, found: PostSources | None = None
    ) -> list[Reading]:
        """Read posts together.

        Args:
            posts: some hundreds at a time; what is read of them stays in memory until all are.
            batch_size: windows in a batch, at most.
            found: their sources, where they were read already.
        """
        words = [segment_post(post) for post in posts]
        found = found or self.network.read_sources(posts, batch_size)
        rows = [
            Row(i, window)
            for i, post in enumerate(posts)
            for window in self.network.pieces.windows(post.text, words[i])
        ]
        parts: list[list[FusionOutput]] = [[] for _ in posts]
        done = {
            number: _core(output, rows[number].window)
            for number, output in self.network.run(rows, found, batch_size)
        }
        for number, row in enumerate(rows):
            parts[row.post].append(done[number])
        return [
            self._reading(posts[i], words[i], found, i, parts[i]) for i in range(len(posts))
        ]  # fmt: skip

    def _reading(
        self, post: Post, words: list[Span], found: PostSources, row: int, parts: Sequence[FusionOutput]
    ) -> Reading:
        picture = found.pictures[row]
        there = (True, *(states[row] is not None for states in found.states.values()))
        if not parts:
            nothing = np.zeros((0, len(self.config.labels)), np.float32)
            return Reading(post, words, picture, there, nothing)
        joined = FusionOutput(*(_join([part[i] for part in parts]) for i in range(len(parts[0]))))  # type: ignore[arg-type]
        return Reading(post, words, picture, there, *joined)


def _core(output: FusionOutput, window: Window) -> FusionOutput:
    keep = slice(window.keep_lo - window.lo, window.keep_hi - window.lo)
    # Copied, so that the batch it is cut from can go.
    return FusionOutput(*(None if x is None else x[..., keep, :].copy() for x in output))  # type: ignore[arg-type]


def _join(parts: Sequence[Floats | None]) -> Floats | None:
    real = [part for part in parts if part is not None]
    if not real:
        return None
    return real[0] if len(real) == 1 else np.concatenate(real, axis=-2)
