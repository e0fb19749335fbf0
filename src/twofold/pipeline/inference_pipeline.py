"""Runs a model, or a tagger and a relation model, from posts to extractions: the only inference path.

Posts are processed in groups of bounded size; results come in the order of the posts. It does not know files
of posts, nor training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from twofold.calibration.review_policy import (
    CalibratedRelationDecider,
    entity_decider,
    following_relation_decider,
    relation_decider,
)
from twofold.calibration.risk_control import RiskControl
from twofold.conventions import Convention
from twofold.corpora.post_stream import PostLike, grouped
from twofold.crf import ChainDecoder, DecisionRule
from twofold.errors import ModelError
from twofold.inference.devices import Device, has_8_bit_products
from twofold.inference.encode import EncodedPost
from twofold.inference.entities import (
    EntityBatch,
    EntityProvider,
    PredictedEntities,
    ProvidedEntities,
    warnings_on,
)
from twofold.inference.modality_states import ModalityStates
from twofold.inference.network import Network
from twofold.inference.relation_classifier import RelationClassifier
from twofold.inference.relation_extractor import PostRelations, RelationExtractor
from twofold.inference.tagger import Tagger
from twofold.inference.truncation import merged
from twofold.inference.workers import Workers
from twofold.model_folder.config import NO_RELATION
from twofold.model_folder.folder import ModelFolder
from twofold.posts import MAX_CHARACTERS, Entity, Extraction, PictureReport, Post
from twofold.preprocessing.feature_cache import FeatureCache

Item = TypeVar("Item")
Result = TypeVar("Result")


class InferencePipeline:
    """A loaded model with everything that evaluation, calibration and training need.

    Args:
        folder: a checked model folder.
        relation_folder: a checked folder of a relation model; None to extract no relations.
        threads: threads that run batches; None for as many as there are cores.
        cache: folder that keeps features of pictures between runs; None for no cache.
        max_error: see `twofold.load`, also for the options not listed here.
        convention: annotation convention of the posts; None for the default of the model.

    Attributes:
        folder: the model folder.
        device: device that the model runs on.
        max_characters: maximum length of a post; None for no limit.
        entity_risk: the control of the entities' error rate; None where no ``max_error`` was given.
        relation_risk: the same for relations.
    """

    def __init__(
        self,
        folder: ModelFolder,
        relation_folder: ModelFolder | None = None,
        *,
        threads: int | None = None,
        cache: Path | None = None,
        max_error: float | None = None,
        max_relation_error: float | None = None,
        coverage: float | None = None,
        max_characters: int | None = MAX_CHARACTERS,
        convention: Convention | None = None,
        device: Device = "cpu",
    ) -> None:
        self.folder, self.device = folder, device
        self.max_characters = max_characters
        self._preparing = Workers(min(2, Workers(threads).count))
        self.entity_risk: RiskControl | None = None
        self.relation_risk: RiskControl | None = None
        self._tagger: Tagger | None = None
        self._entities: EntityProvider = ProvidedEntities()
        if folder.config.task == "relations" and relation_folder is None:
            relation_folder = folder
        else:
            decider = entity_decider(folder, max_error, coverage)
            self.entity_risk = decider.risk
            self._tagger = Tagger(folder, threads, _feature_cache(folder, cache), decider, device)
            if convention is not None:
                self.convention = convention
            self._entities = PredictedEntities(self._tagger)
        self._relations: RelationExtractor | None = None
        if relation_folder is not None:
            shared = self._tagger.network if self._tagger else None
            picture_cache = _feature_cache(relation_folder, cache)
            classifier = RelationClassifier(relation_folder, threads, picture_cache, shared, device)
            related_decider = self._relation_decider(relation_folder, max_error, max_relation_error, coverage)
            self.relation_risk = related_decider.risk
            self._relations = RelationExtractor(classifier, decider=related_decider)
        elif max_relation_error is not None:
            self._relation_extractor()

    def _relation_decider(
        self,
        folder: ModelFolder,
        max_error: float | None,
        max_relation_error: float | None,
        coverage: float | None,
    ) -> CalibratedRelationDecider:
        if max_relation_error is None and self._tagger is not None:
            return following_relation_decider(folder, max_error, coverage)
        limit = max_error if max_relation_error is None else max_relation_error
        return relation_decider(folder, limit, coverage)

    def with_options(
        self,
        *,
        max_error: float | None = None,
        max_relation_error: float | None = None,
        coverage: float | None = None,
        convention: Convention | None = None,
        relations: bool = True,
    ) -> InferencePipeline:
        """The same model with other options: graphs and caches are shared, nothing is loaded.

        Options that are not given have their defaults.

        Args:
            max_error: see `twofold.load`, also for the options not listed here.
            convention: annotation convention of the posts; None for the default of the model.
            relations: False to extract none.

        Raises:
            ModelError, ConfigError: as `twofold.load`.
        """
        other = copy.copy(self)
        other.entity_risk = other.relation_risk = None
        if self._tagger is not None:
            decider = entity_decider(self.folder, max_error, coverage)
            other.entity_risk = decider.risk
            convention = convention or self.folder.config.conventions.default
            other._tagger = self._tagger.with_decider(decider, convention)
            other._entities = PredictedEntities(other._tagger)
            other._relations = self._relations if relations else None
        if other._relations is not None:
            folder = other._relations.classifier.folder
            related_decider = self._relation_decider(folder, max_error, max_relation_error, coverage)
            other.relation_risk = related_decider.risk
            other._relations = other._relations.with_decider(related_decider)
        elif max_relation_error is not None:
            other._relation_extractor()
        return other

    def open(self) -> None:
        """Open the graphs that every post needs, so that errors of the device are raised before the work.

        Raises:
            MissingExtraError, ConfigError: the device cannot be used.
            ModelError: a graph cannot be opened.
        """
        for network in self._networks():
            network.open()

    def graphs_partly_on_cpu(self) -> list[Path]:
        """Graphs that run on a GPU only in part: the rest runs on the CPU."""
        graphs: dict[str, Path] = {}
        for network in self._networks() if self.device != "cpu" else []:
            folder = network.folder
            graphs |= {
                sha256: folder.file(name) for name, sha256 in folder.hashes.items() if name.endswith(".onnx")
            }
        return [path for path in graphs.values() if has_8_bit_products(path)]

    def _networks(self) -> list[Network]:
        tagger = [self._tagger.network] if self._tagger else []
        return tagger + ([self._relations.classifier.network] if self._relations else [])

    @property
    def name(self) -> str:
        """Name of the model; names of both models where they are in separate folders."""
        relation_folder = self._relations.classifier.folder if self._relations else self.folder
        if relation_folder.path in (self.folder.path, self.folder.relations and self.folder.relations.path):
            return self.folder.config.name
        return f"{self.folder.config.name}+{relation_folder.config.name}"

    @property
    def convention(self) -> Convention:
        """Annotation convention of the posts; has no effect on a model without conventions."""
        return self.tagger.network.convention

    @convention.setter
    def convention(self, convention: Convention) -> None:
        self.tagger.network.convention = convention

    @property
    def relation_rule(self) -> DecisionRule | None:
        """Decides when a relation is predicted; None for the most probable class. A tagger alone has none
        (ModelError)."""
        return self._relation_extractor().classifier.decision_rule

    @relation_rule.setter
    def relation_rule(self, rule: DecisionRule | None) -> None:
        self._relations = self._relation_extractor().with_decision_rule(rule)

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types the model predicts; none for a relation model alone."""
        return self._tagger.decoder.types if self._tagger else ()

    @property
    def relation_folder(self) -> ModelFolder:
        """Folder of the relation model; a tagger alone has none (ModelError)."""
        return self._relation_extractor().classifier.folder

    @property
    def relations(self) -> tuple[str, ...]:
        """Relations the model predicts, without "None"; none for a tagger alone."""
        labels = self._relations.classifier.labels if self._relations else ()
        return tuple(label for label in labels if label != NO_RELATION)

    @property
    def tagger(self) -> Tagger:
        """The tagger; a relation model alone has none (ModelError)."""
        if self._tagger is None:
            raise ModelError(
                "a relation model finds no entities", where=str(self.folder.path), expected="a tagger"
            )
        return self._tagger

    @property
    def relation_extractor(self) -> RelationExtractor | None:
        """The relation extractor; None for a tagger alone."""
        return self._relations

    @property
    def symmetric(self) -> frozenset[str]:
        """The symmetric relations among `relations`."""
        relation = self._relations.classifier.folder.config.relation if self._relations else None
        return relation.symmetric if relation else frozenset()

    @property
    def decoder(self) -> ChainDecoder:
        """The tagger's CRF; a relation model alone has none (ModelError)."""
        return self.tagger.decoder

    def extract(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Extraction]:
        """Entities and relations of posts; see `Extractor.extract`."""
        groups = self._groups(posts, batch_size)
        return chain.from_iterable(
            self.map_groups(lambda group: self.extract_group(group, batch_size), groups)
        )

    def extract_group(self, posts: Sequence[Post], batch_size: int) -> list[Extraction]:
        """Extractions of some posts that are held in memory together, in order."""
        return [extraction for extraction, _ in self._extract(posts, batch_size)]

    def extract_with_encodings(
        self, posts: Iterable[PostLike], *, batch_size: int = 32
    ) -> Iterator[tuple[Extraction, EncodedPost | None]]:
        """Like `extract`, with the tagger's encoding of each post; None for a relation model alone."""
        groups = self._groups(posts, batch_size)
        return chain.from_iterable(self.map_groups(lambda group: self._extract(group, batch_size), groups))

    def extract_relations(
        self, posts: Iterable[PostLike], *, batch_size: int = 32
    ) -> Iterator[PostRelations]:
        """The relations of `extract` with the class predictions they rest on.

        Arguments and errors as in `extract`, and

        Raises:
            ModelError: the model has no relation model.
        """
        extractor, groups = self._relation_extractor(), self._groups(posts, batch_size)

        def extract(group: Sequence[Post]) -> list[PostRelations]:
            batch = self._entities.entities(group, batch_size)
            return extractor.extract(batch.posts, batch_size, self._reusable(batch))

        return chain.from_iterable(self.map_groups(extract, groups))

    def extract_gold_pairs(
        self, posts: Iterable[PostLike], *, batch_size: int = 32
    ) -> Iterator[PostRelations]:
        """Relations that would be extracted between the arguments of the posts' gold relations.

        Like `extract_relations`, with these arguments as the entities and no other pairs. The gold direction
        is not used: as in extraction both directions are classified. Pairs predicted as "None" are left out.
        """
        extractor, groups = self._relation_extractor(), self._groups(posts, batch_size)

        def extract(group: Sequence[Post]) -> list[PostRelations]:
            batch, pairs = self._entities.gold_pairs(group, batch_size)
            return extractor.extract_pairs(batch.posts, pairs, batch_size, self._reusable(batch))

        return chain.from_iterable(self.map_groups(extract, groups))

    def classify_gold_pairs(
        self, posts: Iterable[PostLike], *, batch_size: int = 32
    ) -> Iterator[PostRelations]:
        """The predicted class, "None" included, of the (head, tail) of each gold relation of the posts.

        The gold label is not used, nor are the types of its arguments: these have the types that the tagger
        predicts for their words, or without a tagger those of gold entities. Arguments and errors as in
        `extract_relations`.

        Returns:
            For each post a relation for each of its gold relations, in their order.
        """
        extractor, groups = self._relation_extractor(), self._groups(posts, batch_size)
        constrained = not self._entities.types_are_predicted

        def classify(group: Sequence[Post]) -> list[PostRelations]:
            batch, pairs = self._entities.gold_pairs(group, batch_size)
            modalities = self._reusable(batch)
            return extractor.classify_pairs(batch.posts, pairs, batch_size, modalities, constrained)

        return chain.from_iterable(self.map_groups(classify, groups))

    def encode(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[EncodedPost]:
        """The tagger's encoding of each post; `decode` turns encoded posts into extractions.

        Arguments and errors as in `extract`.
        """
        encode, groups = self.tagger.encoder.encode, self._groups(posts, batch_size)
        return chain.from_iterable(self.map_groups(lambda group: encode(group, batch_size), groups))

    def decode(self, encoded_posts: Sequence[EncodedPost]) -> list[Extraction]:
        """Extractions from encoded posts, in order, without relations."""
        entities = self.tagger.entities(encoded_posts)
        return [
            Extraction(e.post.id, e.post.text, row, e.picture, self.name, warnings=warnings_on(e))
            for e, row in zip(encoded_posts, entities, strict=True)
        ]

    def score_entities(
        self, encoded_posts: Sequence[EncodedPost], entities: Sequence[Sequence[Entity]]
    ) -> list[tuple[Entity, ...]]:
        """Given entities with the model's confidence and evidence, whether it would predict them or not.

        Args:
            encoded_posts: some posts.
            entities: of each post, such as those predicted for the same post with another picture.
        """
        return self.tagger.score_entities(encoded_posts, entities)

    def _extract(
        self, posts: Sequence[Post], batch_size: int
    ) -> list[tuple[Extraction, EncodedPost | None]]:  # fmt: skip
        batch = self._entities.entities(posts, batch_size)
        relations = [PostRelations(()) for _ in posts]
        if self._relations is not None:
            relations = self._relations.extract(batch.posts, batch_size, self._reusable(batch))
        read = batch.truncated or [()] * len(posts)
        truncated = [merged((*row, *found.truncated)) for row, found in zip(read, relations, strict=True)]
        extractions = [
            Extraction(
                post.id,
                post.text,
                tuple(batch.posts[i].entities),
                used_picture(batch.pictures[i], relations[i].picture),
                self.name,
                relations=relations[i].relations,
                warnings=batch.warnings[i] + tuple(item.remark for item in truncated[i]),
                truncated=truncated[i],
            )
            for i, post in enumerate(posts)
        ]
        encoded_posts: Sequence[EncodedPost | None] = batch.encoded_posts or [None] * len(posts)
        return list(zip(extractions, encoded_posts, strict=True))

    def map_groups(
        self, function: Callable[[list[Item]], Result], groups: Iterable[list[Item]]
    ) -> Iterator[Result]:
        """Apply a function to groups, in order; above one thread the next is prepared while one is encoded.

        The first result is returned before the second group is consumed, so that it comes early.
        """
        remaining = iter(groups)
        yield from map(function, islice(remaining, 1))
        yield from self._preparing.map(function, remaining, ahead=1)

    def _groups(self, posts: Iterable[PostLike], batch_size: int) -> Iterator[list[Post]]:
        return grouped(posts, batch_size, self.max_characters)

    def _reusable(self, batch: EntityBatch) -> ModalityStates | None:
        """States of the tagger's modalities that the relation model would encode in the same way."""
        if self._relations is None or batch.modalities is None:
            return None
        return self._relations.classifier.network.reusable(batch.modalities)

    def _relation_extractor(self) -> RelationExtractor:
        if self._relations is None:
            raise ModelError(
                "the model knows no relations",
                where=str(self.folder.path),
                expected="a relation model, or a tagger with one",
            )
        return self._relations


def _feature_cache(folder: ModelFolder, cache: Path | None) -> FeatureCache | None:
    return FeatureCache(cache, folder.picture_fingerprint) if cache is not None else None


def used_picture(tagger: PictureReport, relations: PictureReport | None) -> PictureReport:
    """The report of the model that used the picture, which may be the relation model alone."""
    return relations if tagger.status == "none" and relations is not None else tagger
