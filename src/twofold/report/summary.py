"""Counts over a stream of extractions: entities, relations, pictures, confidence and modality shares.

Memory does not grow with the number of posts: it keeps numbers, never posts.
"""

from __future__ import annotations

from collections import Counter

from twofold.posts import Entity, Extraction, Relation

BINS = 10
"""Bins of the histogram of confidence, of equal width on [0, 1]."""


class Summary:
    """Counts that grow with every extraction added.

    Attributes:
        posts: posts read.
        entities: entities extracted.
        relations: relations extracted.
        entity_types: entities by type, in order of first appearance.
        relation_types: relations by type, in order of first appearance.
        relation_labels: each type of relation in readable form.
        pictures: posts by picture status: ``read``, ``none``, ``unreadable``.
        confidence_histogram: entities by confidence, in `BINS` bins.
        low_confidence_entities: entities with a confidence below one half.
        low_confidence_relations: relations likewise.
    """

    def __init__(self) -> None:
        self.posts = 0
        self.entities = 0
        self.relations = 0
        self.entity_types: Counter[str] = Counter()
        self.relation_types: Counter[str] = Counter()
        self.relation_labels: dict[str, str] = {}
        self.pictures: Counter[str] = Counter({"read": 0, "none": 0, "unreadable": 0})
        self.confidence_histogram = [0] * BINS
        self.low_confidence_entities = 0
        self.low_confidence_relations = 0
        self._shares: Counter[str] = Counter()

    def add(self, extraction: Extraction) -> None:
        """Count one post."""
        self.posts += 1
        self.pictures[extraction.picture.status] += 1
        for entity in extraction.entities:
            self._count_entity(entity)
        for relation in extraction.relations:
            self._count_relation(relation)

    def _count_relation(self, relation: Relation) -> None:
        self.relations += 1
        self.relation_types[relation.type] += 1
        self.relation_labels[relation.type] = relation.words
        self.low_confidence_relations += relation.confidence is not None and relation.confidence < 0.5

    def _count_entity(self, entity: Entity) -> None:
        self.entities += 1
        self.entity_types[entity.type] += 1
        for modality, evidence in entity.sources.items():
            self._shares[modality] += evidence.share  # type: ignore[assignment]  # a Counter of floats
        if entity.confidence is None:
            return
        self.confidence_histogram[min(int(entity.confidence * BINS), BINS - 1)] += 1
        self.low_confidence_entities += entity.confidence < 0.5

    @property
    def modality_shares(self) -> dict[str, float]:
        """Mean share of each modality over all entities with evidence; sums to 1, or is empty."""
        total = sum(self._shares.values())
        return {name: value / total for name, value in self._shares.items()} if total else {}
