"""Calibrates a model on labelled posts and writes the calibrated copy.

Entities are calibrated on posts with gold entities, relations on posts with gold relations, as far as the
model predicts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from twofold.calibration.conformal import SCORES
from twofold.calibration.decision_rule import DECODERS
from twofold.calibration.fit import CalibrationFit, fit_entities, fit_relations
from twofold.calibration.methods import METHODS
from twofold.calibration.relation_rule import DECISIONS, RelationRuleFit, fit_and_test_relation_rule
from twofold.calibration.relations import RelationPredictions, concatenated
from twofold.calibration.splits import SEED
from twofold.calibration.write import write_calibrated_copy
from twofold.conventions import Convention, candidates
from twofold.corpora.merge_posts import merge_posts_of_one_text
from twofold.corpora.post_file import PostFile, path_of
from twofold.corpora.post_stream import Posts, parsed_posts
from twofold.corpora.results import no_labels
from twofold.crf import DecisionRule
from twofold.errors import ConfigError
from twofold.inference.rules import rules_that_matter
from twofold.model_folder.place import reserved
from twofold.pipeline.extractor import Extractor, load
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.pipeline.listener import Listener, SilentListener
from twofold.posts import Post, Rejected
from twofold.preprocessing.segmentation import segment_post

FITTING = "fitting"
FITTING_POSTS = 400
"""Maximum number of posts on which conventions are compared."""


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """How a calibration is fitted.

    Attributes:
        method: ``temperature`` for one temperature, ``types`` for one for each type, or ``isotonic`` for one
            followed by isotonic regression.
        decode: decoding of entities: ``viterbi`` or ``f1``; None for the model's own.
        decide: which relations are predicted: ``most-probable``, or ``f1`` for those above a threshold that
            maximises F1; None for the model's own rule.
        score: nonconformity score of the prediction sets, ``lac`` or ``raps``.
        seed: of the random split of the posts.
        convention: annotation convention of the posts: ``fitting`` for the one that fits each data set best,
            or ``model`` for that of the loaded model. The calibrated copy has it as its default, where it is
            the same for all data sets. Has no effect on a model without conventions.

    Raises:
        ConfigError: a value is not one of these.
    """

    method: str = "temperature"
    decode: str | None = None
    decide: str | None = None
    score: str = "lac"
    seed: int = SEED
    convention: str = "fitting"

    def __post_init__(self) -> None:
        known = {"method": METHODS, "score": SCORES, "decode": (None, *DECODERS)}
        known["decide"] = (None, *DECISIONS)
        known["convention"] = (FITTING, "model")
        for name, names in known.items():
            if getattr(self, name) not in names:
                expected = ", ".join(str(x) for x in names)
                raise ConfigError(f"{name} is {getattr(self, name)!r}", expected=f"one of {expected}")


def calibrate(
    model: Extractor | Path | str | None,
    posts: Posts | Mapping[str, Posts],
    out: Path | str,
    *,
    name: str | None = None,
    options: CalibrationOptions | None = None,
    batch_size: int = 32,
    rejected: Callable[[Rejected], None] = lambda item: None,
    listener: Listener | None = None,
) -> dict[str, CalibrationFit]:
    """Write a copy of a model whose confidences, thresholds and prediction sets are fitted on labelled posts.

    One half of the posts fits the confidences, the other half thresholds and sets; a few hundred posts
    suffice. The network stays as it is.

    Args:
        model: the model, its folder, or None for the model that ships with the package.
        posts: labelled posts, or several data sets by their names; see `twofold.read_posts`.
        out: model folder to write; it appears whole or not at all.
        name: name of the copy; None for the name of the folder.
        options: how to calibrate; None for the defaults.
        batch_size: windows of text in a batch.
        rejected: called with each record that is not a valid post.
        listener: receives progress.

    Returns:
        Calibration and report of ``entities`` and of ``relations``, of what could be fitted.

    Raises:
        DataError: a data set holds no labelled post, or too little is predicted on it.
        ModelError: ``out`` holds something that is not a model, or ``model`` is not a model.
    """
    listener, out = listener or SilentListener(), Path(out)
    with reserved(out) as place:
        pipeline = (model if isinstance(model, Extractor) else load(model)).pipeline
        title = posts.title if isinstance(posts, PostFile) else "posts"
        sets = posts if isinstance(posts, Mapping) else {title: posts}
        labelled = dict(_labelled(pipeline, sets, rejected))
        options = options or CalibrationOptions()
        conventions = _conventions(pipeline, labelled, options, batch_size, listener)
        default = next(iter(conventions.values())) if len(set(conventions.values())) == 1 else None
        if default is not None:
            pipeline.convention = default
        run = _Calibration(pipeline, conventions, options, batch_size, listener)
        fits = dict(run.fits(labelled))
        write_calibrated_copy(pipeline.folder, place, fits, name or out.absolute().name, default)
    return fits


def _conventions(
    pipeline: InferencePipeline,
    sets: Mapping[str, Sequence[Post]],
    options: CalibrationOptions,
    batch_size: int,
    listener: Listener,
) -> dict[str, Convention]:
    """The convention of each data set with gold entities; none for a model without conventions."""
    if not pipeline.types or not pipeline.folder.config.conventions.size:
        return {}
    tagged = _with_gold("entities", sets)
    found, own = dict.fromkeys(tagged, pipeline.convention), pipeline.convention
    for name, posts in tagged.items():
        if options.convention != FITTING:
            listener.log(f"{name}: annotation convention {own}")
            continue
        fit = fitting_convention(pipeline, posts, batch_size)
        found[name] = fit.convention
        other = (
            "the model's own, and none fits better"
            if fit.convention == own
            else (f"{100 * fit.own_f1:.1f} with the model's own ({own})")
        )
        listener.log(
            f"{name}: annotation convention {fit.convention}: F1 {100 * fit.f1:.1f} on {fit.posts:,} posts; "
            f"{other}"
        )
    return found


class FittingConvention(NamedTuple):
    """The convention that fits labelled posts best.

    Attributes:
        convention: that convention.
        f1: F1 of exact spans under it, 0 to 1.
        own_f1: F1 under the pipeline's own convention.
        posts: number of posts on which conventions were compared.
    """

    convention: Convention
    f1: float
    own_f1: float
    posts: int


def fitting_convention(
    pipeline: InferencePipeline, posts: Sequence[Post], batch_size: int
) -> FittingConvention:
    """The convention under which predictions agree best with labelled posts, by F1 of exact spans.

    Args:
        pipeline: of a model with conventions; its own convention is restored at the end.
        posts: with gold entities, at least one; at most `FITTING_POSTS` of them, evenly spread, are used.
        batch_size: windows of text in a batch.

    Returns:
        The pipeline's own where none is better; ties go to the own, then the corpora, then the plain rules.
        A rule for mentions or hashtags differs from the own only if there are any in these posts.
    """
    own, scores = pipeline.convention, dict[Convention, float]()
    sample = posts[:: -(-len(posts) // FITTING_POSTS)]
    encoder = pipeline.tagger.encoder
    # Pictures and texts are encoded once: a convention comes in after the encoders.
    modalities = encoder.network.encode_modalities(sample, batch_size)._replace(words={})
    gold = [{(e.start, e.end, e.type) for e in post.entities or ()} for post in sample]
    rules = set().union(*(rules_that_matter(post.text, segment_post(post)) for post in sample))
    for convention in candidates(pipeline.folder.config.conventions, own, rules):
        pipeline.convention = convention
        rows = pipeline.decode(encoder.encode(sample, batch_size, modalities))
        found = [{(e.start, e.end, e.type) for e in row.entities} for row in rows]
        hits = sum(len(one & other) for one, other in zip(gold, found, strict=True))
        scores[convention] = 2 * hits / max(1, sum(map(len, gold)) + sum(map(len, found)))
    pipeline.convention = own
    best = max(scores, key=scores.__getitem__)  # the first of the best ones
    return FittingConvention(best, scores[best], scores[own], len(sample))


def predicted_fields(pipeline: InferencePipeline) -> list[str]:
    """Names of the fields of a post that a model predicts."""
    known = {"entities": pipeline.types, "relations": pipeline.relations}
    return [field for field, names in known.items() if names]


def _labelled(
    pipeline: InferencePipeline, sets: Mapping[str, Posts], rejected: Callable[[Rejected], None]
) -> Iterator[tuple[str, list[Post]]]:
    """Name of each data set, and its posts with gold labels of something that the model predicts."""
    fields = predicted_fields(pipeline)
    for name, posts in sets.items():
        found = []
        for item in parsed_posts(posts, pipeline.max_characters):
            if isinstance(item, Rejected):
                rejected(item)
            elif any(getattr(item, field) is not None for field in fields):
                found.append(item)
        if not found:
            raise no_labels(path_of(posts) or name, f"posts with gold {' or '.join(fields)}")
        yield name, found


class _Calibration:
    """Fits entities and relations."""

    def __init__(
        self,
        pipeline: InferencePipeline,
        conventions: Mapping[str, Convention],
        options: CalibrationOptions,
        batch_size: int,
        listener: Listener,
    ) -> None:
        self._pipeline, self._conventions, self._options = pipeline, conventions, options
        self._batch_size, self._listener = batch_size, listener

    def fits(self, sets: Mapping[str, Sequence[Post]]) -> Iterator[tuple[str, CalibrationFit]]:
        """Field and calibration of each field that can be fitted."""
        fields = predicted_fields(self._pipeline)
        tagged = _with_gold("entities", sets)
        related = _with_gold(
            "relations", {name: list(merge_posts_of_one_text(posts)) for name, posts in sets.items()}
        )
        if tagged and "entities" in fields:
            yield "entities", self._entities(tagged)
        if related and "relations" in fields:
            yield "relations", self._relations(related)

    def _entities(self, sets: Mapping[str, Sequence[Post]]) -> CalibrationFit:
        encoded, default = {}, self._pipeline.convention
        for name, posts in sets.items():
            self._pipeline.convention = self._conventions.get(name, default)
            encoded[name] = list(self._pipeline.encode(self._counted(posts), batch_size=self._batch_size))
        self._pipeline.convention = default
        options = self._options
        return fit_entities(
            self._pipeline.tagger,
            encoded,
            decode=options.decode,
            method=options.method,
            score=options.score,
            seed=options.seed,
        )

    def _relations(self, sets: Mapping[str, Sequence[Post]]) -> CalibrationFit:
        """Relations of gold pairs, predicted without knowing which argument is the head."""
        pipeline, options = self._pipeline, self._options
        rule_fit = self._relation_rule(sets) if options.decide == "f1" else None
        if options.decide is not None:
            pipeline.relation_rule = None if rule_fit is None else rule_fit.decision_rule
        return fit_relations(
            pipeline.relation_folder.config.labels,
            self._predicted(pipeline.extract_gold_pairs, sets),
            end_to_end=self._predicted(pipeline.extract_relations, sets) if pipeline.types else None,
            rule=pipeline.relation_rule,
            rule_fit=rule_fit,
            symmetric=pipeline.symmetric,
            method=options.method,
            score=options.score,
            seed=options.seed,
        )

    def _relation_rule(self, sets: Mapping[str, Sequence[Post]]) -> RelationRuleFit:
        pipeline = self._pipeline

        def predict(rule: DecisionRule | None) -> RelationPredictions:
            pipeline.relation_rule = rule
            return concatenated(self._predicted(pipeline.extract_gold_pairs, sets))

        return fit_and_test_relation_rule(
            pipeline.relation_folder.config.labels,
            predict,
            symmetric=pipeline.symmetric,
            seed=self._options.seed,
        )

    def _predicted(
        self, predict: Callable[..., Iterator[Any]], sets: Mapping[str, Sequence[Post]]
    ) -> dict[str, RelationPredictions]:
        found = {}
        for name, posts in sets.items():
            rows = predict(self._counted(posts), batch_size=self._batch_size)
            found[name] = RelationPredictions(list(posts), [row.predictions for row in rows])
        return found

    def _counted(self, posts: Iterable[Post]) -> Iterator[Post]:
        for post in posts:
            self._listener.step(post)
            yield post


def _with_gold(field: str, sets: Mapping[str, Sequence[Post]]) -> dict[str, list[Post]]:
    found = {
        name: [post for post in posts if getattr(post, field) is not None] for name, posts in sets.items()
    }
    return {name: posts for name, posts in found.items() if posts}
