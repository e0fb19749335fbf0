"""Inference with a trained network in PyTorch, with or without dropout.

For comparisons; `twofold` uses exported graphs, which have no dropout. With dropout, all dropout layers are
active (Monte-Carlo dropout, Gal & Ghahramani 2016), including those of the text encoder; there is no token
masking and no modality dropout, and texts about the picture are encoded without dropout, as in training. This
module neither decodes nor evaluates.

Shapes: B posts, W words, K tags, … any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from twofold.config import Config
from twofold.crf import ChainDecoder
from twofold.encoders.image import ImageEncoder, load_image_encoder
from twofold.encoders.text import load_text_encoder
from twofold.fusion.contract import FusionOutput
from twofold.heads.crf import CRF
from twofold.model_folder.folder import open_folder
from twofold.models.build import build_model, modalities_of
from twofold.models.multimodal import MultimodalModel
from twofold.posts import Post
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.modalities import VISUAL
from twofold.preprocessing.word_pieces import WindowTokenizer
from twofold.training.examples import Example, FeatureTable, collate, make_examples
from twofold.training.loop import Log, choose_device
from twofold.training.picture_features import PictureFeatureExtractor, cache_folder, no_features

Floats = NDArray[np.float32]
Select = Callable[[FusionOutput], Mapping[str, Tensor]]
"""Selects tensors (B, …, W, last) of the output, by name."""
Potentials = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Transitions (K, K), start (K,) and end (K,) of a CRF."""
_BATCH = 32


@dataclass(frozen=True, slots=True)
class PreparedPosts:
    """Posts encoded for networks with the same encoders.

    Attributes:
        posts: number of posts.
        examples: their windows.
        tables: features of pictures, by modality.
    """

    posts: int
    examples: Sequence[Example]
    tables: Mapping[str, FeatureTable]


class TorchTagger:
    """A network of the task ``entities``.

    Args:
        config: configuration of its training.
        model: the network.
        image: picture encoder; None for a network without pictures.
    """

    def __init__(self, config: Config, model: MultimodalModel, image: ImageEncoder | None) -> None:
        self.config, self.image = config, image
        self.device = choose_device(config.training)
        self.model: MultimodalModel = model.to(self.device).eval()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K tags."""
        return tuple(self.model.head.labels)

    def potentials(self) -> Potentials:
        """Potentials of its CRF."""
        head = self.model.head
        assert isinstance(head, CRF)
        transitions, start, end = (x.detach().cpu().numpy() for x in head.potentials())
        return transitions, start, end

    def decoder(self) -> ChainDecoder:
        """Decoder of its CRF."""
        return ChainDecoder(self.labels, *self.potentials())

    def prepare(self, posts: Sequence[Post], log: Log) -> PreparedPosts:
        """Encode pictures and split texts into windows, once for all networks with these encoders."""
        features = no_features(posts)
        if self.image is not None:
            cache = FeatureCache(cache_folder(), self.image.fingerprint)
            extractor = PictureFeatureExtractor(
                self.image, cache, self.device, log, self.config.model.max_crops
            )
            features = extractor.features(posts, self.config.model.modalities)
        text, options = self.model.text, self.config.model
        window = min(options.window_pieces, text.max_pieces)
        pieces = WindowTokenizer(text.tokenizer, window, options.context_words, text.pad_id)
        return PreparedPosts(
            len(posts), make_examples(posts, features.rows, pieces, self.labels), features.tables
        )

    def predict(
        self, prepared: PreparedPosts, select: Select, dropout: int | None = None
    ) -> dict[str, list[Floats]]:
        """Run one pass over all posts.

        Args:
            prepared: the posts.
            select: tensors to return.
            dropout: seed of the dropout; None for no dropout.

        Returns:
            (…, W, last) per post for each name of ``select``.
        """
        done: dict[int, dict[str, Floats]] = {}
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices):
            torch.manual_seed(dropout or 0)
            for group in _batches(prepared.examples):
                set_dropout(self.model, dropout is not None)  # encoding texts switches it off in the encoder
                batch = collate(
                    [prepared.examples[i] for i in group], prepared.tables, self.model.text.pad_id
                )
                found = {
                    name: x.cpu().numpy() for name, x in select(self.model(batch.to(self.device))).items()
                }
                for row, i in enumerate(group):
                    done[i] = {name: _core(x[row], prepared.examples[i]) for name, x in found.items()}
        return _by_post(prepared, done)


def load_tagger(config: Config, out: Path) -> TorchTagger:
    """Load the network of a finished training.

    Args:
        config: of the training. Word vectors of ``multigranular`` are not read: disable its augmentation.
        out: its model folder; the weights are next to it.
    """
    uses_pictures = any(name in VISUAL for name in modalities_of(config.model))
    image = load_image_encoder(config.model.image_encoder) if uses_pictures else None
    model = build_model(
        config.model, open_folder(out).config.labels, load_text_encoder(config.model.text_encoder), image
    )
    model.load_state_dict(load_file(f"{out}.training/weights.safetensors"))
    return TorchTagger(config, model, image)


def set_dropout(model: MultimodalModel, on: bool) -> None:
    """Set evaluation mode, with dropout on or off in all modules."""
    model.eval()
    model.text.backbone.train(on)  # attention dropout depends on its own training flag
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.train(on)


def _batches(examples: Sequence[Example]) -> list[list[int]]:
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].window.ids))
    return [order[begin : begin + _BATCH] for begin in range(0, len(order), _BATCH)]


def _core(values: Floats, example: Example) -> Floats:
    window = example.window
    return values[..., window.core_start - window.start : window.core_end - window.start, :].copy()


def _by_post(prepared: PreparedPosts, done: Mapping[int, Mapping[str, Floats]]) -> dict[str, list[Floats]]:
    """Concatenate the windows of each post; posts without words have W = 0."""
    windows: list[list[int]] = [[] for _ in range(prepared.posts)]
    for number, example in enumerate(prepared.examples):
        windows[example.post].append(number)

    def of(name: str, numbers: Sequence[int]) -> Floats:
        if not numbers:
            return done[0][name][..., :0, :]
        return np.concatenate([done[number][name] for number in numbers], -2)

    return {name: [of(name, numbers) for numbers in windows] for name in done[0]}
