"""Trust reports of relations: between gold arguments as in use, and end to end.

Between gold arguments, with nobody saying which is the head, relations are predicted as in use: this is what
`twofold calibrate` fits. End to end the model has the bare post. A relation predicted for a pair that was not
annotated cannot be scored, unless the post carries gold entities, too: then pairs that it says nothing of are
taken to be in no relation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.evaluation.collector import PredictionCollector
from twofold.evaluation.trust_report import TrustReport, trust_report
from twofold.posts import Extraction, Post

if TYPE_CHECKING:
    from twofold.pipeline.inference_pipeline import InferencePipeline

_GROUP = 256  # posts that wait to be predicted together


class RelationTrustScorer:
    """Collects predictions on posts with gold relations.

    Args:
        pipeline: the model, one that knows relations.
        batch_size: windows of text in a batch.

    Attributes:
        not_annotated: relations end to end that are left out, since nothing was annotated of their pair.
    """

    def __init__(self, pipeline: InferencePipeline, batch_size: int) -> None:
        self._pipeline, self._batch_size = pipeline, batch_size
        self._waiting: list[Post] = []
        self._between_gold = PredictionCollector()
        self._end_to_end = PredictionCollector() if pipeline.types else None
        self._posts = self.not_annotated = 0

    def add(self, post: Post, extraction: Extraction) -> None:
        """Take in one post with gold relations, and what was predicted for it."""
        self._posts += 1
        if self._end_to_end is not None:
            gold, complete = post.relations or (), post.entities is not None
            self.not_annotated += self._end_to_end.add_triples(
                extraction.relations, gold, complete=complete, symmetric=self._pipeline.symmetric
            )
        self._waiting.append(post)
        if len(self._waiting) == _GROUP:
            self._predict()

    def reports(self) -> dict[str, TrustReport]:
        """When every post was added: ``relations_gold_arguments`` and ``relations_end_to_end``; empty without
        posts."""
        if not self._posts:
            return {}
        self._predict()
        made = {"relations_gold_arguments": trust_report(self._between_gold.predictions())}
        if self._end_to_end is not None:
            made["relations_end_to_end"] = trust_report(self._end_to_end.predictions())
        return made

    def _predict(self) -> None:
        posts, self._waiting = self._waiting, []
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
