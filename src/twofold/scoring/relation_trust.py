"""Trust reports of relations: between gold arguments, and end to end.

Between gold arguments, relations are predicted as in use, without knowing which argument is the head: these
are what `twofold calibrate` fits. End to end, the model gets the post alone. A relation predicted for a pair
that was not annotated cannot be scored, unless the post has gold entities, too: then pairs that are not
annotated are taken to be unrelated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.trust_report import TrustReport, trust_report
from twofold.posts import Extraction, Post

if TYPE_CHECKING:
    from twofold.pipeline.inference_pipeline import InferencePipeline

_GROUP = 256  # posts predicted together


class RelationTrustScorer:
    """Collects predictions on posts with gold relations.

    Args:
        pipeline: a model that predicts relations.
        batch_size: windows of text in a batch.

    Attributes:
        not_annotated: number of end-to-end relations left out, since their pair is not annotated.
    """

    def __init__(self, pipeline: InferencePipeline, batch_size: int) -> None:
        self._pipeline, self._batch_size = pipeline, batch_size
        self._pending: list[Post] = []
        self._between_gold = PredictionCollector()
        self._end_to_end = PredictionCollector() if pipeline.types else None
        self._posts = self.not_annotated = 0

    def add(self, post: Post, extraction: Extraction) -> None:
        """Add one post with gold relations, and its predictions."""
        self._posts += 1
        if self._end_to_end is not None:
            gold, complete = post.relations or (), post.entities is not None
            self.not_annotated += self._end_to_end.add_triples(
                extraction.relations, gold, complete=complete, symmetric=self._pipeline.symmetric
            )
        self._pending.append(post)
        if len(self._pending) == _GROUP:
            self._predict()

    def reports(self) -> dict[str, TrustReport]:
        """The reports ``relations_gold_arguments`` and ``relations_end_to_end`` of the posts added; empty
        without posts."""
        if not self._posts:
            return {}
        self._predict()
        reports = {"relations_gold_arguments": trust_report(self._between_gold.predictions())}
        if self._end_to_end is not None:
            reports["relations_end_to_end"] = trust_report(self._end_to_end.predictions())
        return reports

    def _predict(self) -> None:
        posts, self._pending = self._pending, []
        found = self._pipeline.extract_gold_pairs(posts, batch_size=self._batch_size)
        for post, related in zip(posts, found, strict=True):
            before = [
                item.prediction.probability for item in related.predictions if item.prediction is not None
            ]
            self._between_gold.add_triples(
                related.relations,
                post.relations or (),
                complete=True,
                symmetric=self._pipeline.symmetric,
                uncalibrated=before,
            )
