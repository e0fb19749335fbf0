"""Trust reports of relations: between gold arguments as in use, and end to end.

Between gold arguments, with nobody saying which is the head, relations are predicted as in use: this is what
`twofold calibrate` fits. End to end the model has the bare post. A relation predicted for a pair that was not
annotated cannot be scored, unless the post carries gold entities, too: then pairs that it says nothing of are
taken to be in no relation.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.trust_report import TrustReport, to_json, trust_report
from twofold.posts import Extraction, Post

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

_GROUP = 256  # posts that wait to be predicted together


class RelationTrustReport(NamedTuple):
    """One report.

    Attributes:
        key: in JSON.
        title: what it is of, in words.
        report: the metrics.
        not_annotated: predictions left out, since nothing was annotated of their pair.
    """

    key: str
    title: str
    report: TrustReport
    not_annotated: int = 0


class RelationTrustScorer:
    """Collects predictions on posts with gold relations.

    Args:
        extractor: the model, one that knows relations.
        batch_size: windows of text in a batch.
    """

    def __init__(self, extractor: Extractor, batch_size: int) -> None:
        self._extractor, self._batch_size = extractor, batch_size
        self._waiting: list[Post] = []
        self._between_gold = PredictionCollector()
        self._end_to_end = PredictionCollector() if extractor.types else None
        self._posts = self._not_annotated = 0

    def add(self, post: Post, extraction: Extraction) -> None:
        """Take in one post with gold relations, and what was predicted for it."""
        self._posts += 1
        if self._end_to_end is not None:
            gold, complete = post.relations or (), post.entities is not None
            self._not_annotated += self._end_to_end.add_triples(
                extraction.relations, gold, complete=complete, symmetric=self._extractor.symmetric
            )
        self._waiting.append(post)
        if len(self._waiting) == _GROUP:
            self._predict()

    def record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        shown = {item.key: to_json(item.report) for item in self.reports}
        for item in self.reports:
            if item.key == "relations_end_to_end":
                shown[item.key]["not_annotated"] = item.not_annotated
        return shown

    @cached_property
    def reports(self) -> list[RelationTrustReport]:
        """Made once, when every post was added; empty where none was."""
        if not self._posts:
            return []
        self._predict()
        between = trust_report(self._between_gold.predictions())
        made = [RelationTrustReport("relations_gold_arguments", "relations between gold arguments", between)]
        if self._end_to_end is not None:
            whole = trust_report(self._end_to_end.predictions())
            title = "relations end to end"
            made.append(RelationTrustReport("relations_end_to_end", title, whole, self._not_annotated))
        return made

    def _predict(self) -> None:
        posts, self._waiting = self._waiting, []
        found = self._extractor.extract_gold_pairs(posts, batch_size=self._batch_size)
        for post, related in zip(posts, found, strict=True):
            before = [
                item.prediction.probability for item in related.predictions if item.prediction is not None
            ]
            self._between_gold.add_triples(
                related.relations,
                post.relations or (),
                complete=True,
                symmetric=self._extractor.symmetric,
                uncalibrated=before,
            )
