"""Extracts the relations between the entities of posts.

For two entities whose types allow a relation, each direction that the types allow is classified. A relation
is predicted in a direction where it is more probable than "None", or, with a decision rule
(``calibrate --decide f1``), where its probability is above a threshold; of both directions the more probable
one is kept. The network's uncalibrated probabilities decide, so that the temperature changes confidences
only, never which relations are predicted.

It does not know where the entities come from.

Shape letters: S pairs, K relations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twofold.crf import DecisionRule
from twofold.inference.confidence import Decision
from twofold.inference.modality_states import ModalityStates
from twofold.inference.relation_classifier import (
    ClassPrediction,
    EncodedPair,
    RelationClassifier,
    class_probabilities,
)
from twofold.inference.type_constraints import PAIR_LIMIT, CandidatePairs
from twofold.inference.uncertainty import PositionEvidence, PredictionEvidence, prediction_evidence
from twofold.model_folder.config import NO_RELATION
from twofold.posts import Entity, PictureReport, Post, Relation, Truncation
from twofold.preprocessing.entity_markers import Argument, Pair, word_span
from twofold.preprocessing.segmentation import Span

Floats = NDArray[np.float32]
EntityPair = tuple[Entity, Entity]
"""Head and tail."""


class PostEntities(NamedTuple):
    """A post whose entities are known.

    Attributes:
        post: the post.
        words: (start, end) of the words of its text.
        entities: in order of their start.
    """

    post: Post
    words: Sequence[Span]
    entities: Sequence[Entity]


class RelationDecider(Protocol):
    """Computes the confidences of relations, and the decisions based on them."""

    def decide(self, scores: NDArray[np.float64], predicted: Sequence[int]) -> list[Decision]:
        """The decision on each pair.

        Args:
            scores: (S, K) of all relations; −∞ for those ruled out by type constraints.
            predicted: index of the predicted relation of each pair.
        """


class TemperatureScaledSoftmax:
    """Softmax at one temperature as confidences; no review, no candidates.

    Args:
        temperature: all scores are divided by it.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def decide(self, scores: NDArray[np.float64], predicted: Sequence[int]) -> list[Decision]:
        """See `RelationDecider`."""
        probabilities = class_probabilities(scores, self._temperature)
        return [Decision(float(row[i])) for row, i in zip(probabilities, predicted, strict=True)]


class PredictedRelation(NamedTuple):
    """A relation and the class prediction it rests on.

    Attributes:
        relation: as it is returned to the user.
        prediction: the classifier's; None where an argument contains no word.
    """

    relation: Relation
    prediction: ClassPrediction | None


class PostRelations(NamedTuple):
    """Relations predicted between the entities of a post.

    Attributes:
        predictions: in order of their heads, then of their tails.
        picture: whether the picture was read; None where no pair needed it.
        truncated: inputs of the post that were truncated.
    """

    predictions: tuple[PredictedRelation, ...]
    picture: PictureReport | None = None
    truncated: tuple[Truncation, ...] = ()

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The relations of the predictions."""
        return tuple(item.relation for item in self.predictions)


class RelationExtractor:
    """Extracts relations between entities.

    Args:
        classifier: the relation classifier.
        pair_limit: maximum number of pairs of a post that are classified; the nearest are taken.
        decider: decides on predicted relations; None for the temperature of the classifier's folder alone.
    """

    def __init__(
        self,
        classifier: RelationClassifier,
        pair_limit: int = PAIR_LIMIT,
        decider: RelationDecider | None = None,
    ) -> None:
        self.classifier = classifier
        self._pair_limit = pair_limit
        self._decider = decider or TemperatureScaledSoftmax(classifier.folder.temperature)

    def with_decider(self, decider: RelationDecider) -> RelationExtractor:
        """The same extractor with another decider; the graphs are shared."""
        return RelationExtractor(self.classifier, self._pair_limit, decider)

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> RelationExtractor:
        """The same extractor with another decision rule of its classifier; the graphs are shared."""
        return RelationExtractor(
            self.classifier.with_decision_rule(decision_rule), self._pair_limit, self._decider
        )

    def extract(
        self, posts: Sequence[PostEntities], batch_size: int, modalities: ModalityStates | None = None
    ) -> list[PostRelations]:
        """Extract the relations of some posts.

        Args:
            posts: a few hundred at a time.
            batch_size: windows in a batch, at most.
            modalities: states of the posts' modalities that need not be encoded again (`Network.reusable`).
        """
        constraints = self.classifier.constraints
        candidates = [constraints.candidate_pairs(post.entities, self._pair_limit) for post in posts]
        pairs = [
            [(post.entities[i], post.entities[j]) for i, j in row.pairs]
            for post, row in zip(posts, candidates, strict=True)
        ]
        extracted = self.extract_pairs(posts, pairs, batch_size, modalities)
        return [
            _sorted(post, row)._replace(truncated=tuple(self._truncations(post, pair, nearest)))
            for post, row, pair, nearest in zip(posts, extracted, pairs, candidates, strict=True)
        ]

    def _truncations(
        self, post: PostEntities, pairs: Sequence[EntityPair], candidates: CandidatePairs
    ) -> Iterator[Truncation]:
        if len(pairs) < candidates.total:
            yield Truncation("pairs", len(pairs), candidates.total)
        pairs_in_words = [_in_words(post.words, pair) for pair in pairs]
        usable = [pair for pair in pairs_in_words if pair is not None]
        yield from self.classifier.truncations(post.post, post.words, usable)

    def extract_pairs(
        self,
        posts: Sequence[PostEntities],
        pairs: Sequence[Sequence[EntityPair]],
        batch_size: int,
        modalities: ModalityStates | None = None,
    ) -> list[PostRelations]:
        """Like `extract`, but only for the given pairs, in either direction.

        A pair given twice, or in both directions, counts once. Arguments as in `extract`.
        """
        directed = [[pair for both in _distinct(row) for pair in self._directions(*both)] for row in pairs]
        predict = self.classifier.predict_constrained
        classified = self._classified(posts, directed, batch_size, modalities, predict)
        return self._relations(classified, [_best(row) for row in classified])

    def classify_pairs(
        self,
        posts: Sequence[PostEntities],
        pairs: Sequence[Sequence[EntityPair]],
        batch_size: int,
        modalities: ModalityStates | None = None,
        constrained: bool = True,
    ) -> list[PostRelations]:
        """The most probable class of each given (head, tail), "None" included, in the order given.

        A pair with an argument that contains no word is "None", without a confidence. Arguments as in
        `extract`, and ``constrained``: False where the types of the arguments are predicted, so that they
        must not rule out a relation.
        """
        classifier = self.classifier
        predict = classifier.predict_constrained if constrained else classifier.predict_unconstrained
        classified = self._classified(posts, pairs, batch_size, modalities, predict)
        return self._relations(classified, classified)

    def confidences(
        self,
        posts: Sequence[PostEntities],
        relations: Sequence[Sequence[Relation]],
        batch_size: int,
        modalities: ModalityStates | None = None,
    ) -> list[list[float]]:
        """The confidence of each given relation, whether it would be predicted or not, in the order given.

        Args:
            posts: as in `extract`.
            relations: of each post; each argument contains a word, and the constraints allow its types.
            batch_size: as in `extract`. modalities: likewise.
        """
        pairs = [[(relation.head, relation.tail) for relation in row] for row in relations]
        predict = self.classifier.predict_constrained
        classified = self._classified(posts, pairs, batch_size, modalities, predict)
        return [
            self._confidences(predicted, row) for predicted, row in zip(classified, relations, strict=True)
        ]

    def _confidences(self, pairs: Sequence[_ClassifiedPair], relations: Sequence[Relation]) -> list[float]:
        scores = [pair.prediction.scores for pair in pairs if pair.prediction is not None]
        if not scores:
            return []
        labels = self.classifier.labels
        decisions = self._decider.decide(
            np.stack(scores), [labels.index(relation.type) for relation in relations]
        )
        return [decision.confidence for decision in decisions]

    def _directions(self, one: Entity, other: Entity) -> list[EntityPair]:
        if (one.start, one.end) == (other.start, other.end):
            return []  # the same span, given with two types
        compatible = self.classifier.constraints.compatible
        return [(a, b) for a, b in ((one, other), (other, one)) if compatible(a.type, b.type)]

    def _classified(
        self,
        posts: Sequence[PostEntities],
        pairs: Sequence[Sequence[EntityPair]],
        batch_size: int,
        modalities: ModalityStates | None,
        predict: Callable[[Sequence[EncodedPair]], list[ClassPrediction]],
    ) -> list[list[_ClassifiedPair]]:
        pairs_in_words = [
            [_in_words(post.words, pair) for pair in row] for post, row in zip(posts, pairs, strict=True)
        ]
        usable = [[pair for pair in row if pair is not None] for row in pairs_in_words]
        words = [post.words for post in posts]
        encoded = self.classifier.encode([post.post for post in posts], usable, batch_size, modalities, words)
        flat = [pair for row in encoded for pair in row]
        outputs = iter(zip(flat, predict(flat), strict=True))
        return [
            [
                _ClassifiedPair(pair, *next(outputs)) if in_words else _ClassifiedPair(pair)
                for pair, in_words in zip(row, word_pairs, strict=True)
            ]
            for row, word_pairs in zip(pairs, pairs_in_words, strict=True)
        ]

    def _relations(
        self, classified: Sequence[Sequence[_ClassifiedPair]], kept: Sequence[Sequence[_ClassifiedPair]]
    ) -> list[PostRelations]:
        """The relations of each post: of its classified pairs, those that are kept."""
        predicted = iter(self._predictions([pair for row in kept for pair in row]))
        return [
            PostRelations(tuple(next(predicted) for _ in row), _picture(pairs))
            for row, pairs in zip(kept, classified, strict=True)
        ]

    def _predictions(self, pairs: Sequence[_ClassifiedPair]) -> list[PredictedRelation]:
        outputs = [
            (p.encoded, p.prediction) for p in pairs if p.encoded is not None and p.prediction is not None
        ]
        decisions = self._decide([prediction for _, prediction in outputs])
        modalities = self.classifier.folder.config.modalities
        evidence = prediction_evidence(modalities, [_evidence(*item) for item in outputs])
        results = iter(zip(decisions, evidence, strict=True))
        return [_predicted(p, results) for p in pairs]

    def _decide(self, predictions: Sequence[ClassPrediction]) -> list[Decision]:
        if not predictions:
            return []
        scores = np.stack([p.scores for p in predictions])
        decisions = self._decider.decide(scores, [p.class_index for p in predictions])
        return [  # review and candidates are for relations; "None" has a confidence only
            Decision(decision.confidence) if prediction.label == NO_RELATION else decision
            for prediction, decision in zip(predictions, decisions, strict=True)
        ]


class _ClassifiedPair(NamedTuple):
    arguments: EntityPair
    encoded: EncodedPair | None = None
    prediction: ClassPrediction | None = None

    @property
    def relation_probability(self) -> float:
        """Probability of the predicted relation; 0 where "None" is predicted."""
        if self.prediction is None or self.prediction.label == NO_RELATION:
            return 0.0
        return self.prediction.probability


def _evidence(encoded: EncodedPair, prediction: ClassPrediction) -> PositionEvidence:
    def one_position(values: Floats | None) -> Floats | None:
        return None if values is None else values[..., np.newaxis, :]

    share = None if encoded.share is None else encoded.share[:, [prediction.class_index]]
    return PositionEvidence(
        encoded.present, one_position(encoded.evidence), one_position(encoded.fused), share
    )


def _predicted(
    pair: _ClassifiedPair, results: Iterator[tuple[Decision, PredictionEvidence]]
) -> PredictedRelation:  # fmt: skip
    if pair.prediction is None:
        return PredictedRelation(Relation(*pair.arguments, NO_RELATION), None)
    decision, evidence = next(results)
    relation = Relation(
        *pair.arguments,
        pair.prediction.label,
        decision.confidence,
        *evidence,
        review=decision.review,
        candidates=decision.candidates,
    )
    return PredictedRelation(relation, pair.prediction)


def _distinct(pairs: Sequence[EntityPair]) -> list[EntityPair]:
    """Pairs without repetitions, whatever their order."""
    return list({frozenset((e.start, e.end, e.type) for e in pair): pair for pair in pairs}.values())


def _best(pairs: Sequence[_ClassifiedPair]) -> list[_ClassifiedPair]:
    """For each two entities, the direction with the more probable relation, if any is predicted."""
    best: dict[frozenset[int], _ClassifiedPair] = {}
    for pair in pairs:
        key = frozenset(id(entity) for entity in pair.arguments)
        if pair.relation_probability > (best[key].relation_probability if key in best else 0.0):
            best[key] = pair
    return list(best.values())


def _sorted(post: PostEntities, found: PostRelations) -> PostRelations:
    index = {id(entity): i for i, entity in enumerate(post.entities)}

    def head_and_tail(item: PredictedRelation) -> tuple[int, int]:
        return index[id(item.relation.head)], index[id(item.relation.tail)]

    return found._replace(predictions=tuple(sorted(found.predictions, key=head_and_tail)))


def _in_words(words: Sequence[Span], pair: EntityPair) -> Pair | None:
    head, tail = (word_span(words, entity.start, entity.end) for entity in pair)
    if head is None or tail is None:
        return None
    return Argument(*head, pair[0].type), Argument(*tail, pair[1].type)


def _picture(pairs: Sequence[_ClassifiedPair]) -> PictureReport | None:
    return next((pair.encoded.picture for pair in pairs if pair.encoded is not None), None)
