"""The graphs of a model folder: from windows of posts to the outputs of the network.

Windows of similar length share a batch, bounded in rows and in word pieces; a text that occurs twice in a
batch is encoded once. A second network can share whatever is identical byte for byte: graphs
(opened once), the tokenizer, and states of modalities. It does not know what the outputs mean.

The graph ``fusion.onnx`` names its inputs ``words``, ``shapes`` (case features), ``convention``,
``slots`` (positions of targets) and, for each further modality, its name.

Shape letters: B rows in a batch, T word pieces, W words of a window, D width of text states, N elements of
a modality, S targets, P positions of a target, K outputs, M modalities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ModelError
from twofold.inference.devices import Device
from twofold.inference.graph_shapes import expected_shapes
from twofold.inference.modality_states import ModalityEncoder, ModalityStates, WordStates, batches, stack
from twofold.inference.onnx_sessions import FusionOutput, Sessions
from twofold.inference.workers import Workers
from twofold.model_folder.config import RENEW
from twofold.model_folder.folder import ModelFolder
from twofold.posts import Post
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.modalities import TEXTS, VISUAL
from twofold.preprocessing.semantic_augmentation import FILES, MODALITY, Neighbours
from twofold.preprocessing.word_pieces import Window, WindowTokenizer, pad

Floats = NDArray[np.float32]

_ENCODED_BY = (
    dict.fromkeys(VISUAL, "picture") | dict.fromkeys(TEXTS, "text") | {MODALITY: "neighbours"}
)  # fmt: skip
"""What encodes a modality: one of the graphs, or a table of words."""

_LANES = 16
"""Maximum number of 32-bit values that a CPU computes at once (SIMD)."""
_PAIRS = 4
"""Pairs of levitated markers are padded to a multiple of this: functions for which ONNX Runtime has no kernel
of its own, such as the logarithm of the evidence of pairs, are computed for four values at once."""


class NetworkInput(NamedTuple):
    """A window to run the network on.

    Attributes:
        post: index of its post, among those whose modalities were encoded together.
        window: its words.
        slots: positions in the window of each of its targets; None where each word is a target.
    """

    post: int
    window: Window
    slots: Sequence[tuple[int, ...]] | None = None


class Network:
    """The network of a model folder.

    Args:
        folder: a checked model folder.
        threads: threads that run batches; None for as many as there are cores.
        cache: keeps picture features between runs; None for no cache.
        shared: a network to share encoders with, where they are the same.
        device: device to run on.

    Attributes:
        keeps_words: whether the states of words are kept with those of the modalities, for a network that
            shares the text encoder.
        convention: annotation convention of the posts; has no effect on a model without conventions.

    Raises:
        ModelError: the model uses modalities that this version does not know.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        shared: Network | None = None,
        device: Device = "cpu",
    ) -> None:
        _check_modalities(folder)
        self.folder = folder
        encoders = same_encoders(folder, shared.folder) if shared else frozenset()
        graphs = same_graphs(folder, shared.folder) if shared else frozenset()
        sessions = {name: shared.sessions for name in graphs if shared}
        self._exact = folder.config.text.equal_lengths
        self.workers: Workers = shared.workers if shared else Workers(threads if self._exact else 1)
        shapes = expected_shapes(folder.config)
        graph_threads, unfused = (1, ("text", "fusion")) if self._exact else (threads, ())
        self.sessions: Sessions = Sessions(folder.path, graph_threads, unfused, sessions, shapes, device)
        self.tokenizer: WindowTokenizer = (
            shared.tokenizer if shared and "text" in encoders else _tokenizer(folder)
        )
        self._neighbours = _neighbours(folder)
        self.modality_encoder = ModalityEncoder(
            self.sessions, folder.config, self.tokenizer, cache, self._neighbours, self.workers
        )
        self.convention = folder.config.conventions.default
        others = folder.config.modalities[1:]
        self._shares_text, self.keeps_words = "text" in encoders, False
        self._shared_modalities = [name for name in others if _ENCODED_BY.get(name) in encoders]

    def open(self) -> None:
        """Open the graph that every post needs, so that errors of the device are raised now.

        Raises:
            MissingExtraError, ConfigError: the device cannot be used.
            ModelError: the graph cannot be opened.
        """
        self.sessions.open("fusion")

    def encode_modalities(
        self, posts: Sequence[Post], batch_size: int, encoded: ModalityStates | None = None
    ) -> ModalityStates:
        """States of the posts' modalities besides their words.

        Args:
            posts: a few hundred at a time.
            batch_size: texts in a batch, at most.
            encoded: modalities that a network with the same encoder encoded already.
        """
        found = self.modality_encoder.encode(posts, batch_size, encoded)
        return found._replace(words={}) if self.keeps_words and found.words is None else found

    def reusable(self, encoded: ModalityStates) -> ModalityStates:
        """The modalities of the shared network that this network would encode in the same way."""
        same = encoded.subset(range(len(encoded.pictures)), self._shared_modalities)
        return same if self._shares_text else same._replace(words=None)

    def run(
        self, inputs: Sequence[NetworkInput], modalities: ModalityStates, batch_size: int
    ) -> Iterator[tuple[int, FusionOutput]]:
        """The index of each input with its output, without the batch axis; in any order.

        The arrays are views of a batch: copy what is kept.
        """
        # Equal texts are neighbours in this order, so that they share a batch.
        order = sorted(range(len(inputs)), key=lambda i: (len(inputs[i].window.ids), inputs[i].window.ids))
        lengths = [len(inputs[i].window.ids) for i in order]
        encoded = [[order[i] for i in batch] for batch in batches(lengths, batch_size, self._exact)]
        words: dict[int, Floats] = {}

        def encode(numbers: Sequence[int]) -> list[Floats]:
            return self._word_states([inputs[i].window for i in numbers], modalities.words)

        for numbers, states in zip(encoded, self.workers.map(encode, encoded), strict=True):
            words |= zip(numbers, states, strict=True)
        fused = self._batches_of_one_shape(inputs, modalities, batch_size) if self._exact else encoded

        def fuse(numbers: Sequence[int]) -> FusionOutput:
            own = [inputs[i] for i in numbers]
            shape = self._fused_shape(own[0], modalities) if self._exact else ()
            return self._fuse(own, [words[i] for i in numbers], modalities, shape)

        for numbers, output in zip(fused, self.workers.map(fuse, fused), strict=True):
            for row, number in enumerate(numbers):
                yield number, self._checked(_row(output, row), inputs[number])

    def _batches_of_one_shape(
        self, inputs: Sequence[NetworkInput], modalities: ModalityStates, batch_size: int
    ) -> list[list[int]]:
        """Indices of inputs, in batches of inputs of the same `_fused_shape`."""
        of_shape: dict[tuple[int, ...], list[int]] = {}
        for i, item in enumerate(inputs):
            of_shape.setdefault(self._fused_shape(item, modalities), []).append(i)
        return [row[i : i + batch_size] for row in of_shape.values() for i in range(0, len(row), batch_size)]

    def _fused_shape(self, item: NetworkInput, modalities: ModalityStates) -> tuple[int, ...]:
        """Padded numbers of words, slots and elements of each modality; 0 for none.

        Functions such as the logarithm are computed for several values of a tensor at once, and differ in the
        last bits for the values left over at its end; products sum in another order for a single element. To
        make results independent of the place in a batch, sizes are multiples of `_LANES`, for pairs `_PAIRS`.
        """
        words = _rounded_up(len(item.window.first))

        def size(name: str) -> int:
            states = modalities.states[name][item.post]
            if name == MODALITY:
                return words
            return 0 if states is None else len(states) if name == "picture" else _rounded_up(len(states))

        return words, self._slots(item), *map(size, modalities.states)

    def _slots(self, item: NetworkInput) -> int:
        """Padded number of slots (pairs of levitated markers) of an input; 0 where slots are not padded."""
        relation = self.folder.config.relation
        if item.slots is None or (relation and relation.markers):  # a text of its own for each pair
            return 0
        return _rounded_up(len(item.slots), _PAIRS)

    def _checked(self, output: FusionOutput, item: NetworkInput) -> FusionOutput:
        """The output, if its scores are finite: decoding NaN would silently find no entity."""
        count = len(item.window.first if item.slots is None else item.slots)
        if not np.isfinite(output.emissions[:count]).all():
            raise ModelError(
                "the scores of the graph are NaN or infinite",
                where=str(self.folder.file("fusion.onnx")),
                do="get the model folder again, or train the model again with lower learning rates",
            )
        return output

    def _fuse(
        self,
        inputs: Sequence[NetworkInput],
        words: Sequence[Floats],
        modalities: ModalityStates,
        shape: tuple[int, ...],
    ) -> FusionOutput:
        """Output of a batch, padded to its `_fused_shape`; to its longest input where ``shape`` is ()."""
        windows = [item.window for item in inputs]
        features, mask = pad([window.case_features for window in windows], 0)
        tensors: dict[str, NDArray[Any]] = {
            "words": stack(words, self.folder.config.text.hidden_size)[0],
            "shapes": features,
            "word_mask": mask.astype(bool),
        }
        if self.folder.config.conventions.size:
            vector = np.array(self.folder.config.conventions.vector(self.convention), np.float32)
            tensors["convention"] = np.broadcast_to(vector, (len(inputs), len(vector)))
        for name, posts in modalities.states.items():
            if self._neighbours is not None and name == MODALITY:
                stacked, present = self._neighbours.of_windows(windows)
            else:
                rows = [posts[item.post] for item in inputs]
                stacked, present = stack(rows, self.modality_encoder.width(name))
            tensors |= {name: stacked, f"{name}_mask": present}
        slots = [item.slots for item in inputs if item.slots is not None]
        if slots:
            tensors["slots"] = _padded(slots)
        axes = [("words", "shapes", "word_mask"), ("slots",), *((n, f"{n}_mask") for n in modalities.states)]
        sizes = {name: size for names, size in zip(axes, shape, strict=bool(shape)) for name in names}
        return self.sessions.fuse({name: _padded_to(x, sizes.get(name, 0)) for name, x in tensors.items()})

    def _word_states(self, windows: Sequence[Window], known: WordStates | None) -> list[Floats]:
        """State of each word's first piece, (W, D) for each window.

        Args:
            windows: of a batch.
            known: states of windows encoded before, to which those of this batch are added; or None.
        """
        if known is not None and all(tuple(window.ids) in known for window in windows):
            return [known[tuple(window.ids)] for window in windows]
        number: dict[tuple[int, ...], int] = {}
        copies = [number.setdefault(tuple(window.ids), len(number)) for window in windows]
        states = self.sessions.text(*pad(list(number), self.tokenizer.pad_id))  # (distinct, T, D)
        words = [states[i, window.first] for i, window in zip(copies, windows, strict=True)]
        if known is not None:
            known |= {tuple(window.ids): row for window, row in zip(windows, words, strict=True)}
        return words


def same_graphs(one: ModelFolder, other: ModelFolder) -> frozenset[str]:
    """The encoders whose graphs are the same file in two model folders."""
    return frozenset(name for name in ("text", "picture") if _same_file(one, other, f"{name}.onnx"))


def same_encoders(one: ModelFolder, other: ModelFolder) -> frozenset[str]:
    """The encoders with the same graphs and the same preparation of inputs, which give the same states."""
    same_input = {
        "text": one.config.text == other.config.text and _same_file(one, other, "tokenizer.json"),
        "picture": one.config.picture == other.config.picture,
    }
    return frozenset(name for name in same_graphs(one, other) if same_input[name])


def _same_file(one: ModelFolder, other: ModelFolder, file: str) -> bool:
    return file in one.hashes and one.hashes[file] == other.hashes.get(file)


def _check_modalities(folder: ModelFolder) -> None:
    modalities = folder.config.modalities
    if set(modalities[1:]) - set(_ENCODED_BY) or modalities[0] != "text":
        raise ModelError(
            f"the model uses the modalities {', '.join(modalities)}",
            where=str(folder.path),
            expected=f"text, then any of {', '.join(_ENCODED_BY)}",
            do="install a newer Twofold",
        )


def _tokenizer(folder: ModelFolder) -> WindowTokenizer:
    text, path = folder.config.text, folder.file("tokenizer.json")
    try:
        tokenizer = WindowTokenizer(path, text.window_pieces, text.context_words, text.pad_token_id)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's errors have no common base, and it may panic
        raise ModelError(
            f"the tokenizer cannot be used: {str(error)[:200]}", where=str(path), do=RENEW
        ) from error
    _check_tokenizer(tokenizer, folder)
    return tokenizer


def _check_tokenizer(tokenizer: WindowTokenizer, folder: ModelFolder) -> None:
    size = tokenizer.tokenizer.get_vocab_size()
    for key, value, low, high in (
        ("pad_token_id", tokenizer.pad_id, 0, size - 1),
        ("window_pieces less the special pieces", tokenizer.budget, 2, 10**6),
    ):
        if not low <= value <= high:
            raise ModelError(
                f"text.{key} is {value}",
                where=str(folder.path / "config.json"),
                expected=f"{low} to {high} with this tokenizer of {size} pieces",
                do=RENEW,
            )


def _neighbours(folder: ModelFolder) -> Neighbours | None:
    if MODALITY not in folder.config.modalities:
        return None
    states, words = (folder.file(name) for name in FILES)
    return Neighbours.open(states, words)


def _padded(slots: Sequence[Sequence[tuple[int, ...]]]) -> NDArray[np.int64]:
    """Slots (B, S, P) of windows with different numbers of them; 0 where padded."""
    padded = np.zeros((len(slots), max(map(len, slots)), len(slots[0][0])), np.int64)
    for row, own in zip(padded, slots, strict=True):
        row[: len(own)] = own
    return padded


def _rounded_up(size: int, of: int = _LANES) -> int:
    """The size rounded up to a multiple."""
    return -(-size // of) * of


def _padded_to(tensor: NDArray[Any], size: int) -> NDArray[Any]:
    """The tensor with axis 1 padded with zeros to this size; unchanged where it is that long."""
    missing = size - tensor.shape[1]
    if missing <= 0:
        return tensor
    return np.concatenate([tensor, np.zeros((len(tensor), missing, *tensor.shape[2:]), tensor.dtype)], 1)


def _row(output: FusionOutput, row: int) -> FusionOutput:
    return FusionOutput(*(None if x is None else x[row] for x in output))  # type: ignore[arg-type]
