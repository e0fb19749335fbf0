"""From what a tagger saw in posts to entities with confidence and evidence.

Shape letters: W words, K tags, M sources, n words of a span.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twofold.crf import ChainDecoder, DecisionRule, TagSpan
from twofold.errors import ModelError
from twofold.inference.confidence import Judgement
from twofold.inference.encode import Reader, Reading
from twofold.inference.network import Network
from twofold.inference.uncertainty import tell
from twofold.model_folder.folder import ModelFolder
from twofold.posts import Entity
from twofold.preprocessing.entity_markers import word_span
from twofold.preprocessing.images import FeatureCache

Floats = NDArray[np.float32]


class Judge(Protocol):
    """Says how far entities can be trusted."""

    def judge(
        self,
        decoder: ChainDecoder,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
    ) -> list[list[Judgement]]:
        """A judgement a span of each post, from emissions (W, K) a post."""


class OneTemperature:
    """Confidences of the CRF at one temperature, and nothing else.

    Args:
        temperature: all scores are divided by it.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def judge(
        self,
        decoder: ChainDecoder,
        emissions: Sequence[NDArray[np.floating]],
        spans: Sequence[Sequence[TagSpan]],
    ) -> list[list[Judgement]]:
        """See `Judge`."""
        found = decoder.confidences(emissions, spans, self._temperature)
        return [[Judgement(value) for value in row.tolist()] for row in found]


class Tagger:
    """The tagger of a model folder.

    Args:
        folder: a checked folder of a tagger.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.
        judge: of what is found; None for the folder's temperature alone.

    Attributes:
        folder: the folder.
        decoder: its CRF.
        reader: its network.
    """

    def __init__(
        self,
        folder: ModelFolder,
        threads: int | None = None,
        cache: FeatureCache | None = None,
        judge: Judge | None = None,
    ) -> None:
        if folder.config.task != "entities":
            raise ModelError(
                f"the model is for {folder.config.task}", where=str(folder.path), expected="a tagger"
            )
        self.folder = folder
        self.decoder = folder.decoder()
        self.reader = Reader(folder, threads, cache)
        self._judge = judge or OneTemperature(folder.temperature)

    def with_decision_rule(self, decision_rule: DecisionRule | None) -> Tagger:
        """The same tagger, telling other spans."""
        other = copy.copy(self)
        other.decoder = self.decoder.with_decision_rule(decision_rule)
        return other

    @property
    def network(self) -> Network:
        """What a relation model may borrow from."""
        return self.reader.network

    def entities(self, readings: Sequence[Reading]) -> list[tuple[Entity, ...]]:
        """Entities of some posts, in order of their start; they never overlap."""
        return self._told(readings, self.decoder.decode([reading.emissions for reading in readings]))

    def judge(
        self, readings: Sequence[Reading], entities: Sequence[Sequence[Entity]]
    ) -> list[tuple[Entity, ...]]:
        """What the readings say of given entities of each post, whether they would be found or not.

        Args:
            readings: of some posts.
            entities: of each; words and types that the model knows. What else they hold is not looked at.
        """
        return self._told(
            readings, [[_place(r, e) for e in row] for r, row in zip(readings, entities, strict=True)]
        )

    def _told(
        self, readings: Sequence[Reading], spans: Sequence[Sequence[TagSpan]]
    ) -> list[tuple[Entity, ...]]:
        judged = self._judge.judge(self.decoder, [reading.emissions for reading in readings], spans)
        return [
            tuple(self._entity(reading, *item) for item in zip(row, said, strict=True))
            for reading, row, said in zip(readings, spans, judged, strict=True)
        ]

    def _entity(self, reading: Reading, span: TagSpan, said: Judgement) -> Entity:
        start, end = reading.words[span.start][0], reading.words[span.end - 1][1]
        words, tags = np.arange(span.start, span.end), self.decoder.tags_of(span)

        def of_words(values: Floats | None) -> Floats | None:
            return None if values is None else values[..., words, :]

        share = None if reading.share is None else reading.share[..., words, tags]
        parts = of_words(reading.evidence), of_words(reading.fused), share
        uncertainty, sources = tell(self.folder.config.sources, reading.sources, parts)
        return Entity(
            start,
            end,
            reading.post.text[start:end],
            span.type,
            said.confidence,
            uncertainty,
            sources,
            review=said.review,
            candidates=said.candidates,
        )


def _place(reading: Reading, entity: Entity) -> TagSpan:
    words = word_span(reading.words, entity.start, entity.end)
    if words is None:
        raise ValueError(f"{entity.start} to {entity.end} holds no word")
    return TagSpan(*words, entity.type)
