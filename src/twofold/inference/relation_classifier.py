"""Classifies pairs of arguments in a post: all use of relation models goes through here.

All pairs of a window are read in one pass (levitated markers), or each pair is a text of its own with head
and tail marked; windows of similar length share a batch. The modalities of a post are encoded once for all
its pairs, and not at all where it has no pair. It does not know where pairs come from.

Shape letters: S pairs, K relations, M modalities.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twofold.crf import DecisionRule
from twofold.errors import ModelError
from twofold.inference.devices import Device
from twofold.inference.modality_states import ModalityStates
from twofold.inference.network import Network, NetworkInput
from twofold.inference.onnx_sessions import FusionOutput
from twofold.inference.truncation import truncations
from twofold.inference.type_constraints import TypeConstraints
from twofold.model_folder.config import NO_RELATION
from twofold.model_folder.folder import ModelFolder
from twofold.posts import PictureReport, Post, Truncation
from twofold.preprocessing.entity_markers import Argument, Pair, count_pairs_with_whole_post, pair_reader
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.segmentation import Span, segment_post

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair with the output of the relation network.

    Attributes:
        head: words of the head, and its type where known. tail: likewise.
        picture: whether the post's picture was read.
        present: True for each of the M modalities that the post has.
        emissions: (K,).
        evidence: (M, 4, K) δ, γ, α, β of each modality; None for models without evidence.
        fused: (4, K) δ, γ, α, β after pooling; None likewise.
        share: (M, K) share of each modality, summing to 1 over those present; None likewise.
    """

    head: Argument
    tail: Argument
    picture: PictureReport
    present: tuple[bool, ...]
    emissions: Floats
    evidence: Floats | None = None
    fused: Floats | None = None
    share: Floats | None = None


class ClassPrediction(NamedTuple):
    """The most probable class of a pair.

    Attributes:
        class_index: of the relation among the labels.
        label: the relation; "None" for none.
        probability: softmax of the network's scores, before calibration, in [0, 1].
        scores: (K,) of all relations; −∞ for those ruled out by type constraints.
    """

    class_index: int
    label: str
    probability: float
    scores: NDArray[np.float64]


class RelationClassifier:
    """The relation classifier of a model folder.

    Args:
        folder: a checked folder of a relation model.
        threads: threads that run batches; None for as many as there are cores.
        cache: keeps picture features between runs; None for no cache.
        shared: the tagger's network, to share encoders with where they are the same.
        device: device to run on.

    Attributes:
        folder: the folder.
        labels: the K relations, "None" among them.
        constraints: the types of head and tail that each relation allows.
        network: the network.
        decision_rule: decides when a relation is predicted; None for the most probable class.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        shared: Network | None = None,
        device: Device = "cpu",
    ) -> None:
        relation = folder.config.relation
        if relation is None:
            raise ModelError(
                f"the model is for {folder.config.task}", where=str(folder.path), expected="a relation model"
            )
        self.folder = folder
        self.labels = folder.config.labels
        self.decision_rule = folder.decision_rule
        self._none = self.labels.index(NO_RELATION)
        self.constraints = TypeConstraints(self.labels, relation.argument_types)
        self.network = Network(folder, threads, cache, shared, device)
        self._pairs = pair_reader(self.network.tokenizer, relation.markers)
        if shared is not None and relation.markers is None:
            shared.keeps_words = True

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> RelationClassifier:
        """The same classifier with another decision rule; the graphs are shared."""
        other = copy.copy(self)
        other.decision_rule = decision_rule
        return other

    def encode(
        self,
        posts: Sequence[Post],
        pairs: Sequence[Sequence[Pair]],
        batch_size: int = 32,
        modalities: ModalityStates | None = None,
        words: Sequence[Sequence[Span]] | None = None,
    ) -> list[list[EncodedPair]]:
        """Encode pairs of some posts together.

        Args:
            posts: a few hundred at a time.
            pairs: of each post, in words of `segment_post`; a post without pairs is not encoded.
            batch_size: windows in a batch, at most.
            modalities: states of the posts' modalities that need not be encoded again (`Network.reusable`).
            words: of each post, as `segment_post` gives them; None to segment it here.

        Returns:
            The pairs of each post, in the order of ``pairs``.
        """
        result: list[list[EncodedPair]] = [[] for _ in posts]
        with_pairs = [i for i, row in enumerate(pairs) if row]
        if not with_pairs:
            return result
        known = None if modalities is None else modalities.subset(with_pairs, modalities.states)
        modalities = self.network.encode_modalities([posts[i] for i in with_pairs], batch_size, known)
        windows = [
            (n, window)
            for n, i in enumerate(with_pairs)
            for window in self._pairs.pair_windows(
                posts[i].text, segment_post(posts[i]) if words is None else words[i], pairs[i]
            )
        ]
        inputs = [NetworkInput(n, window.window, window.slots) for n, window in windows]
        outputs: dict[tuple[int, int], FusionOutput] = {}
        for number, out in self.network.run(inputs, modalities, batch_size):
            post, window = windows[number]
            targets = _targets(out, len(window.pairs))
            outputs |= {(post, pair): target for pair, target in zip(window.pairs, targets, strict=True)}
        for n, i in enumerate(with_pairs):
            picture, present = modalities.pictures[n], modalities.present(n)
            result[i] = [
                EncodedPair(head, tail, picture, present, *outputs[n, j])
                for j, (head, tail) in enumerate(pairs[i])
            ]
        return result

    def truncations(
        self, post: Post, words: Sequence[Span], pairs: Sequence[Pair]
    ) -> Iterator[Truncation]:  # fmt: skip
        """The inputs of a post with these words and pairs that are truncated."""
        complete = count_pairs_with_whole_post(self._pairs, post.text, words, pairs) if pairs else 0
        if complete < len(pairs):
            yield Truncation("pair_context", complete, len(pairs))
        if pairs:
            yield from truncations(post, (), self.network)

    def predict_unconstrained(self, encoded_pairs: Sequence[EncodedPair]) -> list[ClassPrediction]:
        """Predict the relation of each pair, whatever the types of its arguments.

        For predicted types: a wrong type must not rule out the right relation. The probability is still
        normalised over the alternatives that type constraints leave, as in extraction: here those that
        share argument types with the predicted relation.
        """
        if not encoded_pairs:
            return []
        emissions = _emissions(encoded_pairs)
        alternatives = self.constraints.alternatives
        allowed = [alternatives(i) for i in self._best_relations(emissions).tolist()]
        return [
            one if one.class_index != self._none else none
            for one, none in zip(
                self._predictions(emissions, np.stack(allowed)),
                self._predictions(emissions, alternatives(self._none)),
                strict=True,
            )
        ]

    def predict_constrained(self, encoded_pairs: Sequence[EncodedPair]) -> list[ClassPrediction]:
        """Predict for each pair one of the relations possible between its types, or "None"."""
        if not encoded_pairs:
            return []
        allowed = [self.constraints.allowed(pair.head.type, pair.tail.type) for pair in encoded_pairs]
        return self._predictions(_emissions(encoded_pairs), np.stack(allowed))

    def _predictions(
        self, emissions: NDArray[np.float64], allowed: NDArray[np.bool_]
    ) -> list[ClassPrediction]:
        """Predictions from scores (S, K) and the relations (S, K) or (K,) that are not ruled out."""
        rows = np.arange(len(emissions))
        scores = np.where(allowed, emissions, -np.inf)
        relations = self._best_relations(scores)
        rule = self.decision_rule
        if rule is None:
            found = scores[rows, relations] > scores[:, self._none]
        else:
            found = class_probabilities(scores, rule.temperature)[rows, relations] > rule.threshold
        best = np.where(found, relations, self._none)
        probabilities = class_probabilities(scores, 1.0)[rows, best]
        return [
            ClassPrediction(i, self.labels[i], probability, row)
            for i, probability, row in zip(best.tolist(), probabilities.tolist(), scores, strict=True)
        ]

    def _best_relations(self, scores: NDArray[np.floating]) -> NDArray[np.intp]:
        """The most probable (S,) of the classes but "None"."""
        others = scores.copy()
        others[:, self._none] = -np.inf
        return np.asarray(others.argmax(1))


def class_probabilities(
    scores: NDArray[np.float64], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Softmax (S, K) of scores (S, K) divided by a temperature, one for all or (S, 1)."""
    powers = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _emissions(encoded_pairs: Sequence[EncodedPair]) -> NDArray[np.float64]:
    return np.stack([pair.emissions for pair in encoded_pairs]).astype(np.float64)


def _targets(output: FusionOutput, count: int) -> list[FusionOutput]:
    """Output of each of the first ``count`` targets of a window."""
    # A copy, so that the whole batch can be freed.
    own = [None if x is None else x[..., :count, :].copy() for x in output]
    return [FusionOutput(*(None if x is None else x[..., i, :] for x in own)) for i in range(count)]  # type: ignore[arg-type]
