"""Extracts entities with confidence and evidence from encoded posts.

Shape letters: W words, K tags, M modalities, n words of a span.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twofold.conventions import Convention
from twofold.crf import ChainDecoder, DecisionRule, TagSpan
from twofold.errors import ModelError
from twofold.inference.confidence import Decision
from twofold.inference.devices import Device
from twofold.inference.encode import EncodedPost, PostEncoder
from twofold.inference.network import Network
from twofold.inference.uncertainty import PositionEvidence, PredictionEvidence, prediction_evidence
from twofold.model_folder.folder import ModelFolder
from twofold.posts import Entity
from twofold.preprocessing.entity_markers import word_span
from twofold.preprocessing.feature_cache import FeatureCache

Floats = NDArray[np.float32]


class EntityDecider(Protocol):
    """Computes the confidences of entities, and the decisions based on them."""

    def decide(
        self,
        decoder: ChainDecoder,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
    ) -> list[list[Decision]]:
        """The decision on each span of each post, from emissions (W, K) of each post."""


class TemperatureScaledCrf:
    """Span marginals of the CRF at one temperature as confidences; no review, no candidates.

    Args:
        temperature: all scores are divided by it.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def decide(
        self,
        decoder: ChainDecoder,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
    ) -> list[list[Decision]]:
        """See `EntityDecider`."""
        confidences = decoder.confidences(emissions, spans, self._temperature)
        return [[Decision(value) for value in row.tolist()] for row in confidences]


class Tagger:
    """The tagger of a model folder.

    Args:
        folder: a checked folder of a tagger.
        threads: threads that run batches; None for as many as there are cores.
        cache: keeps picture features between runs; None for no cache.
        decider: decides on predicted entities; None for the folder's temperature alone.
        device: device to run on.

    Attributes:
        folder: the folder.
        decoder: its CRF.
        encoder: its network.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        decider: EntityDecider | None = None,
        device: Device = "cpu",
    ) -> None:
        if folder.config.task != "entities":
            raise ModelError(
                f"the model is for {folder.config.task}", where=str(folder.path), expected="a tagger"
            )
        self.folder = folder
        self.decoder = folder.decoder()
        self.encoder = PostEncoder(folder, threads, cache, device)
        self._decider = decider or TemperatureScaledCrf(folder.temperature)

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> Tagger:
        """The same tagger with another decision rule; the graphs are shared."""
        other = copy.copy(self)
        other.decoder = self.decoder.with_decision_rule(decision_rule)
        return other

    def with_decider(self, decider: EntityDecider, convention: Convention) -> Tagger:
        """The same tagger with another decider and another convention of the posts; the graphs are shared."""
        other = copy.copy(self)
        other._decider = decider
        other.encoder = copy.copy(self.encoder)
        other.encoder.network = copy.copy(self.encoder.network)
        other.encoder.network.convention = convention
        return other

    @property
    def network(self) -> Network:
        """The network, whose encoders a relation model may share."""
        return self.encoder.network

    def entities(self, encoded_posts: Sequence[EncodedPost]) -> list[tuple[Entity, ...]]:
        """Entities of some posts, in order of their start; they never overlap."""
        spans = self.decoder.decode([encoded.emissions for encoded in encoded_posts])
        return self._entities(encoded_posts, spans)

    def score_entities(
        self, encoded_posts: Sequence[EncodedPost], entities: Sequence[Sequence[Entity]]
    ) -> list[tuple[Entity, ...]]:
        """Given entities with the model's confidence and evidence, whether it would predict them or not.

        Args:
            encoded_posts: some posts.
            entities: of each post; spans that contain a word, types that the model knows. Other fields of
                the entities are not used.
        """
        spans = [
            [_tag_span(encoded, entity) for entity in row]
            for encoded, row in zip(encoded_posts, entities, strict=True)
        ]
        return self._entities(encoded_posts, spans)

    def _entities(
        self, encoded_posts: Sequence[EncodedPost], spans: Sequence[Sequence[TagSpan]]
    ) -> list[tuple[Entity, ...]]:
        decisions = self._decider.decide(
            self.decoder, [encoded.emissions for encoded in encoded_posts], spans
        )
        post_spans = [
            (encoded, span) for encoded, row in zip(encoded_posts, spans, strict=True) for span in row
        ]
        evidence = prediction_evidence(
            self.folder.config.modalities, [self._evidence(*post_span) for post_span in post_spans]
        )
        found = iter(zip(post_spans, evidence, strict=True))
        return [tuple(_entity(*next(found), decision) for decision in row) for row in decisions]

    def _evidence(self, encoded: EncodedPost, span: TagSpan) -> PositionEvidence:
        def of_words(values: Floats | None) -> Floats | None:
            return None if values is None else values[..., span.start : span.end, :]

        share = of_words(encoded.share)
        if share is not None:
            share = share[:, np.arange(span.end - span.start), self.decoder.tags_of(span)]
        return PositionEvidence(encoded.present, of_words(encoded.evidence), of_words(encoded.fused), share)


def _entity(
    post_span: tuple[EncodedPost, TagSpan], evidence: PredictionEvidence, decision: Decision
) -> Entity:
    encoded, span = post_span
    start, end = encoded.words[span.start][0], encoded.words[span.end - 1][1]
    return Entity(
        start,
        end,
        encoded.post.text[start:end],
        span.type,
        decision.confidence,
        *evidence,
        review=decision.review,
        candidates=decision.candidates,
    )


def _tag_span(encoded: EncodedPost, entity: Entity) -> TagSpan:
    words = word_span(encoded.words, entity.start, entity.end)
    if words is None:
        raise ValueError(f"{entity.start} to {entity.end} contains no word")
    return TagSpan(*words, entity.type)
