"""Evaluates an extractor on labelled posts: predicts each post, and scores what it has gold labels of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.evaluation.trust_report import TrustReport, to_json
from twofold.posts import Extraction, PictureStatus, Post, Rejected
from twofold.scoring.entity_scores import EntityScorer
from twofold.scoring.listener import Listener, SilentListener
from twofold.scoring.post_predictions import PostPredictions, predict_posts
from twofold.scoring.relation_scores import RelationScorer
from twofold.scoring.relation_trust import RelationTrustScorer

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

_NAMED = 10
"""Unreadable pictures named to the listener; the rest are counted."""


@dataclass
class EvaluationResult:
    """All scores on some posts.

    Attributes:
        entities: scores of entities, on posts with gold ones.
        relations: scores of relations, on posts with gold ones.
        relation_trust: trust reports of relations; None unless asked for.
        trust: whether trust reports were asked for.
        pictures: posts by what became of their picture.
        posts: how many were predicted.
        tokens: of those that the data give tokens of.
        unlabelled: posts without labels of anything that the model finds, left out.
        kept: the posts predicted, where they were to be kept.
    """

    entities: EntityScorer
    relations: RelationScorer
    relation_trust: RelationTrustScorer | None = None
    trust: bool = False
    pictures: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    tokens: int = 0
    unlabelled: int = 0
    kept: list[Post] = field(default_factory=list)

    @cached_property
    def trust_reports(self) -> dict[str, TrustReport]:
        """By what was predicted: entities, relations of gold pairs; made once, when all posts were added."""
        reports = {}
        if self.trust and self.entities.posts:
            reports["entities"] = self.entities.trust()
        if self.trust and self.relations.posts:
            reports["relations"] = self.relations.trust()
        return reports

    def record(self) -> dict[str, Any]:
        """Scores as plain data for JSON, trust reports aside."""
        return {
            "pictures": {status: self.pictures[status] for status in get_args(PictureStatus)},
            **(self.entities.record() if self.entities.posts else {}),
            **({"relations": self.relations.record()} if self.relations.posts else {}),
        }

    def trust_record(self) -> dict[str, Any]:
        """Trust reports as plain data for JSON."""
        related = self.relation_trust.record() if self.relation_trust is not None else {}
        shown: dict[str, Any] = to_json(self.trust_reports)
        return shown | related


def evaluate_posts(
    extractor: Extractor,
    items: Iterable[Post | Rejected],
    *,
    batch_size: int = 32,
    trust: bool = False,
    keep_posts: bool = False,
    rejected: Callable[[Rejected], None] = lambda item: None,
    listener: Listener | None = None,
) -> EvaluationResult:
    """Predict posts and score the predictions.

    The model gets text, picture and alt text only; gold labels stay on the post.

    Args:
        extractor: the model.
        items: posts, taken as they are needed; those without labels of what the model finds are counted only.
        batch_size: windows of text in a batch.
        trust: whether to collect what trust reports need.
        keep_posts: whether the result keeps the posts, for a second evaluation of them.
        rejected: takes each record that could not become a post.
        listener: receives progress and messages on unreadable pictures.
    """
    listener = listener or SilentListener()
    knows_relations = bool(extractor.relations)
    result = EvaluationResult(
        EntityScorer(),
        RelationScorer(bool(extractor.types), extractor.symmetric),
        RelationTrustScorer(extractor, batch_size) if trust and knows_relations else None,
        trust,
    )
    labelled = _labelled(items, extractor, result, rejected)
    posts = merge_posts_of_one_text(labelled) if knows_relations else labelled
    for item in predict_posts(extractor, posts, batch_size, uncalibrated=trust):
        _count(item, extractor, result)
        if keep_posts:
            result.kept.append(item.post)
        _report_picture(item.post, item.extraction, result, listener)
        listener.step(item.post)
    return result


def _labelled(
    items: Iterable[Post | Rejected],
    extractor: Extractor,
    result: EvaluationResult,
    rejected: Callable[[Rejected], None],
) -> Iterator[Post]:
    """Posts with labels of what the model finds; the others are counted."""
    for item in items:
        if isinstance(item, Rejected):
            rejected(item)
        elif (extractor.types and item.entities is not None) or (
            extractor.relations and item.relations is not None
        ):
            yield item
        else:
            result.unlabelled += 1


def _count(item: PostPredictions, extractor: Extractor, result: EvaluationResult) -> None:
    post, extraction = item.post, item.extraction
    result.posts += 1
    result.tokens += len(post.tokens or ())
    result.pictures[extraction.picture.status] += 1
    if extractor.types and post.entities is not None:
        result.entities.add(post, extraction, item.uncalibrated)
    if extractor.relations and post.relations is not None:
        result.relations.add(post, extraction, item.gold_pairs)
        if result.relation_trust is not None:
            result.relation_trust.add(post, extraction)


def _report_picture(post: Post, extraction: Extraction, result: EvaluationResult, listener: Listener) -> None:
    if extraction.picture.status == "unreadable" and result.pictures["unreadable"] <= _NAMED:
        listener.log(f"{post.origin}: picture unreadable: {extraction.picture.reason}")
