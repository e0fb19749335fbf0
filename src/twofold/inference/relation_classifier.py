"""Pairs of words of a post to relations between them: all use of relation models goes through here.

All pairs of a window are read in one pass (levitated markers), or each as a text of its own with head and
tail marked; windows of similar length share a batch. The modalities of a post are encoded once for all its
pairs, and not at all where it has no pair. It does not know where pairs come from.

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
from twofold.preprocessing.entity_markers import Argument, Pair, pair_reader, whole_pairs
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.segmentation import segment_post

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair with the output of the relation network.

    Attributes:
        head: words of the head, and its type as far as it is known. tail: of the tail.
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
        device: what computes.

    Attributes:
        folder: the folder.
        labels: the K relations, "None" among them.
        constraints: the types of head and tail that each relation allows.
        network: the network.
        decision_rule: when a relation is predicted; None for the most probable class.
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
        """The same classifier with another rule; the graphs are shared."""
        other = copy.copy(self)
        other.decision_rule = decision_rule
        return other

    def encode(
        self,
        posts: Sequence[Post],
        pairs: Sequence[Sequence[Pair]],
        batch_size: int = 32,
        modalities: ModalityStates | None = None,
    ) -> list[list[EncodedPair]]:
        """Encode pairs of some posts together.

        Args:
            posts: some hundreds at a time.
            pairs: of each post, in words of `segment_post`; a post without pairs is not encoded.
            batch_size: windows in a batch, at most.
            modalities: states of the posts' modalities that need not be encoded again (`Network.reusable`).

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
            for window in self._pairs.pair_windows(posts[i].text, segment_post(posts[i]), pairs[i])
        ]
        inputs = [NetworkInput(n, window.window, window.slots) for n, window in windows]
        outputs: dict[tuple[int, int], FusionOutput] = {}
        for number, out in self.network.run(inputs, modalities, batch_size):
            post, window = windows[number]
            outputs |= {(post, pair): _target(out, slot) for slot, pair in enumerate(window.pairs)}
        for n, i in enumerate(with_pairs):
            picture, present = modalities.pictures[n], modalities.present(n)
            result[i] = [
                EncodedPair(head, tail, picture, present, *outputs[n, j])
                for j, (head, tail) in enumerate(pairs[i])
            ]
        return result

    def truncations(self, post: Post, pairs: Sequence[Pair]) -> Iterator[Truncation]:
        """What of a post with these pairs is read in part."""
        whole = whole_pairs(self._pairs, post.text, segment_post(post), pairs) if pairs else 0
        if whole < len(pairs):
            yield Truncation("pair_context", whole, len(pairs))
        if pairs:
            yield from truncations(post, (), self.network)

    def predict_unconstrained(self, encoded_pairs: Sequence[EncodedPair]) -> list[ClassPrediction]:
        """The relation of each pair, whatever the types of its arguments.

        For predicted types: a wrong type must not rule out the right relation. The probability is
        nevertheless among the alternatives that type constraints leave, as in extraction: here those that
        share argument types with the predicted relation.
        """
        return [self._predict_unconstrained(pair) for pair in encoded_pairs]

    def _predict_unconstrained(self, pair: EncodedPair) -> ClassPrediction:
        alternatives = self.constraints.alternatives
        prediction = self._predict(pair, alternatives(self._best_relation(pair.emissions)))
        if prediction.class_index != self._none:
            return prediction
        return self._predict(pair, alternatives(self._none))

    def predict_constrained(self, encoded_pairs: Sequence[EncodedPair]) -> list[ClassPrediction]:
        """For each pair one of the relations possible between its types, or "None"."""
        allowed = self.constraints.allowed
        return [self._predict(pair, allowed(pair.head.type, pair.tail.type)) for pair in encoded_pairs]

    def _predict(self, pair: EncodedPair, allowed: NDArray[np.bool_]) -> ClassPrediction:
        scores = np.where(allowed, pair.emissions.astype(np.float64), -np.inf)
        relation = self._best_relation(scores)
        best = relation if self._is_predicted(scores, relation) else self._none
        probability = float(class_probabilities(scores[None], 1.0)[0, best])
        return ClassPrediction(best, self.labels[best], probability, scores)

    def _is_predicted(self, scores: NDArray[np.float64], relation: int) -> bool:
        rule = self.decision_rule
        if rule is None:
            return bool(scores[relation] > scores[self._none])
        return bool(class_probabilities(scores[None], rule.temperature)[0, relation] > rule.threshold)

    def _best_relation(self, scores: NDArray[np.floating]) -> int:
        """The most probable of the classes but "None"."""
        others = scores.copy()
        others[self._none] = -np.inf
        return int(others.argmax())


def class_probabilities(
    scores: NDArray[np.float64], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Softmax (S, K) of scores (S, K) divided by a temperature, one for all or (S, 1)."""
    powers = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _target(output: FusionOutput, slot: int) -> FusionOutput:
    # A copy, so that the whole batch can be freed.
    return FusionOutput(*(None if x is None else x[..., slot, :].copy() for x in output))  # type: ignore[arg-type]
