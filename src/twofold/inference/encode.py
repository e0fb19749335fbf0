"""Encodes posts to emissions and evidence for every word, in extraction, evaluation and calibration.

A long post is encoded in windows, whose cores are joined. Decoding is done elsewhere.

Shape letters: W words, K tags, M modalities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.inference.devices import Device
from twofold.inference.modality_states import ModalityStates
from twofold.inference.network import Network, NetworkInput
from twofold.inference.onnx_sessions import FusionOutput
from twofold.inference.rules import apply_rules
from twofold.model_folder.config import FolderConfig
from twofold.model_folder.folder import ModelFolder
from twofold.posts import PictureReport, Post
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.segmentation import Span, segment_post
from twofold.preprocessing.word_pieces import Window

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedPost:
    """A post with the output of the tagging network.

    Attributes:
        post: the post.
        words: (start, end) of the W words.
        picture: whether the picture was read.
        present: True for each of the M modalities that the post has.
        emissions: (W, K).
        evidence: (M, 4, W, K) δ, γ, α, β of each modality; None for models without evidence and for
            posts without words.
        fused: (4, W, K) δ, γ, α, β after pooling; None likewise.
        share: (M, W, K) share of each modality, summing to 1 over those present; None likewise.
    """

    post: Post
    words: list[Span]
    picture: PictureReport
    present: tuple[bool, ...]
    emissions: Floats
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


class PostEncoder:
    """Encodes posts with the network of a tagger's folder.

    Args:
        folder: a checked model folder.
        threads: threads that run batches; None for as many as there are cores.
        cache: keeps picture features between runs; None for no cache.
        device: device to run on.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        device: Device = "cpu",
    ) -> None:
        self.config: FolderConfig = folder.config
        self.network = Network(folder, threads, cache, device=device)

    def encode(
        self, posts: Sequence[Post], batch_size: int = 32, modalities: ModalityStates | None = None
    ) -> list[EncodedPost]:
        """Encode posts together.

        Args:
            posts: a few hundred at a time; the states of all of them are in memory at once.
            batch_size: windows in a batch, at most.
            modalities: states of the posts' other modalities, if they are already encoded.
        """
        words = [segment_post(post) for post in posts]
        modalities = modalities or self.network.encode_modalities(posts, batch_size)
        inputs = [
            NetworkInput(i, window)
            for i, post in enumerate(posts)
            for window in self.network.tokenizer.windows(post.text, words[i])
        ]
        cores = {
            number: _core(output, inputs[number].window)
            for number, output in self.network.run(inputs, modalities, batch_size)
        }
        outputs: list[list[FusionOutput]] = [[] for _ in posts]
        for number, item in enumerate(inputs):
            outputs[item.post].append(cores[number])
        return [self._encoded(posts[i], words[i], modalities, i, outputs[i]) for i in range(len(posts))]

    def _encoded(
        self,
        post: Post,
        words: list[Span],
        modalities: ModalityStates,
        row: int,
        outputs: Sequence[FusionOutput],
    ) -> EncodedPost:
        picture, present = modalities.pictures[row], modalities.present(row)
        if not outputs:
            no_words = np.zeros((0, len(self.config.labels)), np.float32)
            return EncodedPost(post, words, picture, present, no_words)
        fields = range(len(outputs[0]))
        joined = FusionOutput(*(_concatenated([output[i] for output in outputs]) for i in fields))  # type: ignore[arg-type]
        if self.config.conventions.size:
            labels, convention = self.config.labels, self.network.convention
            constrained = apply_rules(joined.emissions, post.text, words, labels, convention)
            joined = joined._replace(emissions=constrained)
        return EncodedPost(post, words, picture, present, *joined)


def _core(output: FusionOutput, window: Window) -> FusionOutput:
    keep = slice(window.core_start - window.start, window.core_end - window.start)
    # A copy, so that the whole batch can be freed.
    return FusionOutput(*(None if x is None else x[..., keep, :].copy() for x in output))  # type: ignore[arg-type]


def _concatenated(parts: Sequence[Floats | None]) -> Floats | None:
    arrays = [part for part in parts if part is not None]
    if not arrays:
        return None
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-2)
