"""From what a tagger saw in posts to entities with confidence and evidence.

Shape letters: W words, K tags, M sources, n words of a span.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ModelError
from twofold.posts import Entity
from twofold.runtime.decoding import TagSpan
from twofold.runtime.evidence import tell
from twofold.runtime.folder import ModelFolder
from twofold.runtime.network import Network
from twofold.runtime.pictures import FeatureCache
from twofold.runtime.reading import Reader, Reading

Floats = NDArray[np.float32]


class Tagger:
    """The tagger of a model folder.

    Args:
        folder: a checked folder of a tagger.
        threads: threads one graph may use; None for as many as there are cores.
        cache: where features of pictures are kept between runs; None to keep none.

    Attributes:
        folder: the folder.
        decoder: its CRF.
        reader: its network.
    """

    def __init__(
        self, folder: ModelFolder, threads: int | None = None, cache: FeatureCache | None = None
    ) -> None:
        if folder.config.task != "entities":
            raise ModelError(
                f"the model is for {folder.config.task}", where=str(folder.path), expected="a tagger"
            )
        self.folder = folder
        self.decoder = folder.decoder()
        self.reader = Reader(folder, threads, cache)

    @property
    def network(self) -> Network:
        """What a relation model may borrow from."""
        return self.reader.network

    def entities(self, readings: Sequence[Reading]) -> list[tuple[Entity, ...]]:
        """Entities of some posts, in order of their start; they never overlap."""
        emissions = [reading.emissions for reading in readings]
        spans = self.decoder.decode(emissions)
        confidences = self.decoder.confidences(emissions, spans, self.folder.temperature)
        return [
            tuple(self._entity(reading, s, float(c)) for s, c in zip(row, chances, strict=True))
            for reading, row, chances in zip(readings, spans, confidences, strict=True)
        ]

    def _entity(self, reading: Reading, span: TagSpan, confidence: float) -> Entity:
        start, end = reading.words[span.start][0], reading.words[span.end - 1][1]
        words, tags = np.arange(span.start, span.end), self.decoder.tags_of(span)

        def at(values: Floats | None) -> Floats | None:
            """Each word at the tag it was given: (…, W, K) to (…, n)."""
            return None if values is None else values[..., words, tags]

        parts = at(reading.evidence), at(reading.fused), at(reading.share)
        uncertainty, sources = tell(self.folder.config.sources, reading.sources, parts)
        return Entity(start, end, reading.post.text[start:end], span.type, confidence, uncertainty, sources)
