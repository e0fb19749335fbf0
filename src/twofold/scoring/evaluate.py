"""Evaluates a model on labelled posts: predicts each post, and scores predictions that have gold labels."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.corpora.post_file import PostFile, path_of
from twofold.corpora.post_stream import Posts, parsed_posts
from twofold.corpora.releases import ContentDigest
from twofold.corpora.results import no_labels
from twofold.evaluation.comparison import comparable, comparable_extraction
from twofold.evaluation.trust_report import TrustReport
from twofold.pipeline.calibrate import predicted_fields
from twofold.pipeline.extractor import Extractor, load
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.pipeline.listener import Listener, SilentListener
from twofold.posts import Extraction, PictureStatus, Post, Rejected, with_types
from twofold.scoring.data_facts import data_facts
from twofold.scoring.domain_shift import DomainShiftEvaluation, ShiftOptions
from twofold.scoring.entity_scores import EntityScorer, EntityScores
from twofold.scoring.post_predictions import PostPredictions, predict_posts
from twofold.scoring.relation_scores import RelationScorer
from twofold.scoring.relation_trust import RelationTrustScorer
from twofold.scoring.report import EvaluatedModel, EvaluationReport
from twofold.scoring.robustness import RobustnessOptions, evaluate_robustness

_MAX_LOGGED = 10
"""Number of unreadable pictures that are logged one by one; the rest are counted."""


def evaluate(
    model: Extractor | Path | str | None,
    posts: Posts,
    *,
    batch_size: int = 32,
    trust: bool = False,
    robustness: RobustnessOptions | None = None,
    shifts: ShiftOptions | None = None,
    types: Mapping[str, str] | None = None,
    rejected: Callable[[Rejected], None] = lambda item: None,
    listener: Listener | None = None,
) -> EvaluationReport:
    """Predict labelled posts and score the predictions.

    The model gets text, picture and alt text only; gold labels stay on the post. For a model that predicts
    relations, posts with the same text are merged. Where posts are tokenised, a predicted span that begins or
    ends inside a token counts as that whole token, as in published scores.

    Args:
        model: the model, its folder, or None for the model that ships with the package.
        posts: labelled posts, such as `twofold.read_posts` returns; those without labels of what the model
            predicts are only counted.
        batch_size: windows of text in a batch.
        trust: whether to measure calibration, selective prediction and error detection, too.
        robustness: options for predicting the posts with other pictures, too; None to leave that out.
        shifts: options for comparing uncertainty with that on other posts, too; None to leave that out.
        types: new names of entity types, of the gold and of the predictions; "" drops a type.
        rejected: called with each record that is not a valid post.
        listener: receives progress and messages.

    Raises:
        DataError: no post is labelled; or data that ``robustness`` or ``shifts`` needs is missing.
        ModelError: ``model`` is not a model folder.
    """
    pipeline = (model if isinstance(model, Extractor) else load(model)).pipeline
    if shifts and not isinstance(posts, PostFile):
        posts = list(posts)  # read twice
    run = _Evaluation(pipeline, types or {}, batch_size, trust, rejected, listener or SilentListener())
    return run.report(posts, robustness, shifts or ShiftOptions())


class _Evaluation:
    """One evaluation."""

    def __init__(
        self,
        pipeline: InferencePipeline,
        types: Mapping[str, str],
        batch_size: int,
        trust: bool,
        rejected: Callable[[Rejected], None],
        listener: Listener,
    ) -> None:
        self._pipeline, self._types, self._batch_size, self._trust = pipeline, types, batch_size, trust
        self._on_rejected, self._listener = rejected, listener
        self._entities = EntityScorer()
        self._relations = RelationScorer(bool(pipeline.types), pipeline.symmetric)
        self._relation_trust = RelationTrustScorer(pipeline, batch_size)
        self._pictures: Counter[str] = Counter()
        self._posts = self._unlabelled = self._rejected = 0
        self._content, self._gold_types = ContentDigest(), set[str]()
        self._kept: list[Post] = []

    def report(
        self,
        source: Posts,
        robustness: RobustnessOptions | None,
        shifts: ShiftOptions,
    ) -> EvaluationReport:
        """Predict, score, and run the other requested evaluations."""
        begin = time.monotonic()
        self._predict(source, keep=robustness is not None)
        pipeline, listener = self._pipeline, self._listener
        entities, relations = self._entities.scores(), self._relations.scores()
        self._check(source, entities)
        robustness_result = None
        if robustness is not None:
            robustness_result = evaluate_robustness(
                pipeline,
                self._kept,
                robustness,
                types=self._types,
                batch_size=self._batch_size,
                listener=listener,
            )
        comparison = DomainShiftEvaluation(
            pipeline,
            types=self._types,
            batch_size=self._batch_size,
            rejected=self._on_rejected,
            listener=listener,
        )
        shift_results = tuple(comparison.run(source, shifts))
        trust = self._trust_reports() if self._trust else {}
        return EvaluationReport(
            model=EvaluatedModel(pipeline.name, pipeline.folder.path, pipeline.folder.manifest_sha256),
            data=data_facts(
                source,
                content=self._content,
                posts=self._posts,
                rejected=self._rejected,
                unlabelled=self._unlabelled,
                types=self._types,
            ),
            pictures={status: self._pictures[status] for status in get_args(PictureStatus)},
            entities=entities,
            relations=relations,
            seconds=time.monotonic() - begin,
            trust=trust,
            not_annotated=self._relation_trust.not_annotated,
            domain_shift=shift_results,
            robustness=robustness_result,
        )

    def _predict(self, source: Posts, keep: bool) -> None:
        labelled = self._labelled(source)
        posts = merge_posts_of_one_text(labelled) if self._pipeline.relations else labelled
        for item in predict_posts(self._pipeline, posts, self._batch_size, uncalibrated=self._trust):
            self._count(item)
            if keep:
                self._kept.append(item.post)
            self._report_picture(item.post, item.extraction)
            self._listener.step(item.post)

    def _labelled(self, source: Posts) -> Iterator[Post]:
        """Posts with labels of what the model predicts; the others are counted."""
        fields = predicted_fields(self._pipeline)
        for item in parsed_posts(source, self._pipeline.max_characters):
            if isinstance(item, Rejected):
                self._rejected += 1
                self._on_rejected(item)
            elif any(getattr(item, field) is not None for field in fields):
                self._content.add(item)
                self._gold_types.update(entity.type for entity in item.entities or ())
                yield with_types(item, self._types)
            else:
                self._unlabelled += 1

    def _count(self, item: PostPredictions) -> None:
        post, extraction = item.post, comparable_extraction(item.post, item.extraction, self._types)
        self._posts += 1
        self._pictures[extraction.picture.status] += 1
        if self._pipeline.types and post.entities is not None:
            kept = comparable(post, item.extraction.entities, self._types) if item.uncalibrated else []
            raw = [x for x, entity in zip(item.uncalibrated, kept, strict=True) if entity]
            self._entities.add(post, extraction, raw)
        if self._pipeline.relations and post.relations is not None:
            self._relations.add(post, extraction, item.gold_pairs)
            if self._trust:
                self._relation_trust.add(post, extraction)

    def _report_picture(self, post: Post, extraction: Extraction) -> None:
        if extraction.picture.status == "unreadable" and self._pictures["unreadable"] <= _MAX_LOGGED:
            self._listener.log(f"{post.origin}: picture unreadable: {extraction.picture.reason}")

    def _check(self, source: object, entities: EntityScores | None) -> None:
        """Raise an error where there was nothing to score; log types that the model does not know."""
        if not self._posts:
            expected = f"posts with gold {' or '.join(predicted_fields(self._pipeline))}"
            raise no_labels(path_of(source), expected, "see `twofold data check`")
        if (more := self._pictures["unreadable"] - _MAX_LOGGED) > 0:
            self._listener.log(f"{more:,} more pictures unreadable; `twofold data check` names them")
        if self._unlabelled:
            one = self._unlabelled == 1
            carry = "post carries no labels and was" if one else "posts carry no labels and were"
            self._listener.log(f"{self._unlabelled:,} {carry} not counted")
        model_types = self._pipeline.types
        absent = [name for name in self._types if name not in self._gold_types and name not in model_types]
        if absent:
            self._listener.log(f"types to map that neither the posts nor the model have: {', '.join(absent)}")
        known = {self._types.get(name, name) for name in model_types}
        unknown = [name for name in (entities.lenient.types if entities else ()) if name not in known]
        if unknown:
            self._listener.log(
                f"the model does not know the types {', '.join(unknown)}; their entities count as missed"
            )

    def _trust_reports(self) -> dict[str, TrustReport]:
        return self._entities.trust() | self._relations.trust() | self._relation_trust.reports()
