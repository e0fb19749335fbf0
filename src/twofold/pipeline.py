"""The one door: load a model, extract from posts.

    extractor = twofold.load()
    for extraction in extractor.extract([{"id": 1, "text": "Sunset in Paris", "image": "p.jpg"}]):
        ...

Posts stream through in groups of bounded size; results come in the order of the posts. It does not know
files of posts, nor training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, overload

from twofold.calibration.review_policy import entity_judge, following_judge, relation_judge
from twofold.calibration.risk_control import RiskControl
from twofold.corpora.post_stream import PostLike, grouped, with_rejected
from twofold.crf import ChainDecoder
from twofold.errors import ConfigError, ModelError
from twofold.inference.encode import Reading
from twofold.inference.entities import EntityFinder, Found, Given, Predicted, warnings_on
from twofold.inference.modality_states import PostSources
from twofold.inference.relation_classifier import RelationReader
from twofold.inference.relation_extractor import Linked, Linker
from twofold.inference.tagger import Tagger
from twofold.model_folder.combine import combine as join
from twofold.model_folder.config import NO_RELATION
from twofold.model_folder.folder import ModelFolder, open_folder
from twofold.posts import Entity, Extraction, PictureReport, Post, Rejected, Relation
from twofold.preprocessing.images import FeatureCache


def default_folder() -> Path:
    """Where the model that ships with the package lies."""
    return Path(__file__).parent / "models_data" / "default"


def load(
    folder: Path | str | None = None,
    *,
    relations: Path | str | Literal[False] | None = None,
    threads: int | None = None,
    cache: Path | str | None = None,
    max_error: float | None = None,
    max_relation_error: float | None = None,
    sets: float | None = None,
) -> Extractor:
    """Load a model.

    Args:
        folder: a model folder; None for the model that ships with the package. A relation model alone
            finds no entities: it relates those that posts give.
        relations: folder of a relation model to go with it; None for the one that the folder may hold,
            False to look for no relations.
        threads: threads one graph may use; None for as many as there are cores.
        cache: folder where features of pictures are kept between runs; None to keep none.
        max_error: part of the entities kept that may be wrong, and of the relations kept, as far as the
            model's calibration can promise; the others are marked for review. None to mark none. Where it
            cannot be promised of relations, all of them are marked.
        max_relation_error: the same of relations alone, where it shall be another; None for the same.
        sets: how often the set of types given with each entity and relation shall hold the truth; None for
            no sets.

    Raises:
        ModelError: a folder is missing, half-written, from a newer version, was altered, is for
            another task, or not calibrated for what is asked.
        ConfigError: threads is not a number above 0, or the error asked for cannot be promised.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", expected="a number above 0")
    if folder is None and not default_folder().is_dir():
        raise ModelError(
            "this installation of Twofold has no default model",
            where=str(default_folder()),
            do="install the released package, or give a model folder (`twofold train` writes one)",
        )
    opened = open_folder(Path(folder) if folder is not None else default_folder())
    related = opened.relations if relations is None else None
    if relations:
        related = open_folder(Path(relations))
    kept = Path(cache) if cache is not None else None
    return Extractor(
        opened,
        related,
        threads=threads,
        cache=kept,
        max_error=max_error,
        max_relation_error=max_relation_error,
        sets=sets,
    )


def combine(tagger: Path | str | None, relations: Path | str, out: Path | str) -> ModelFolder:
    """Join a tagger and a relation model in one folder, which `load` then gives whole.

    Args:
        tagger: folder of a tagger; None for the model that ships with the package.
        relations: folder of a relation model.
        out: the folder to make.

    Raises:
        ModelError: a folder is not what it should be, or something else is in the place.
    """
    return join(Path(tagger) if tagger is not None else default_folder(), Path(relations), Path(out))


class Extractor:
    """A loaded model.

    Args:
        folder: a checked model folder.
        relations: a checked folder of a relation model; None to look for no relations.
        threads: threads one graph may use; None for as many as there are cores.
        cache: folder where features of pictures are kept between runs; None to keep none.
        max_error: as of `load`, and so are the others.

    Attributes:
        folder: the model folder.
        promise: of the part of the entities kept that may be wrong; None where none was asked for.
        relation_promise: the same of relations.
    """

    def __init__(
        self,
        folder: ModelFolder,
        relations: ModelFolder | None = None,
        *,
        threads: int | None = None,
        cache: Path | None = None,
        max_error: float | None = None,
        max_relation_error: float | None = None,
        sets: float | None = None,
    ) -> None:
        self.folder = folder
        self.promise: RiskControl | None = None
        self.relation_promise: RiskControl | None = None
        self._tagger: Tagger | None = None
        self._finder: EntityFinder = Given()
        if folder.config.task == "relations" and relations is None:
            relations = folder
        else:
            judge = entity_judge(folder, max_error, sets)
            self.promise = judge.promise
            self._tagger = Tagger(folder, threads, _kept(folder, cache), judge)
            self._finder = Predicted(self._tagger)
        self._linker: Linker | None = None
        if relations is not None:
            lender = self._tagger.network if self._tagger else None
            reader = RelationReader(relations, threads, _kept(relations, cache), lender)
            if max_relation_error is None and self._tagger is not None:
                said = following_judge(relations, max_error, sets)
            else:
                limit = max_error if max_relation_error is None else max_relation_error
                said = relation_judge(relations, limit, sets)
            self.relation_promise = said.promise
            self._linker = Linker(reader, judge=said)
        elif max_relation_error is not None:
            self._needed_linker()

    @property
    def name(self) -> str:
        """Name of the model; of both models where they do not come in one folder."""
        related = self._linker.reader.folder if self._linker else self.folder
        if related.path in (self.folder.path, self.folder.relations and self.folder.relations.path):
            return self.folder.config.name
        return f"{self.folder.config.name}+{related.config.name}"

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types the model knows; none for a relation model alone."""
        return self._tagger.decoder.types if self._tagger else ()

    @property
    def relation_folder(self) -> ModelFolder:
        """Folder of the relation model; a tagger alone has none (ModelError)."""
        return self._needed_linker().reader.folder

    @property
    def relations(self) -> tuple[str, ...]:
        """Relations the model knows, "None" left out; none for a tagger alone."""
        labels = self._linker.reader.labels if self._linker else ()
        return tuple(label for label in labels if label != NO_RELATION)

    @property
    def tagger(self) -> Tagger:
        """What finds entities; a relation model alone has none (ModelError)."""
        return self._needed_tagger()

    @property
    def symmetric(self) -> frozenset[str]:
        """Relations among these that hold both ways."""
        relation = self._linker.reader.folder.config.relation if self._linker else None
        return relation.symmetric if relation else frozenset()

    @property
    def decoder(self) -> ChainDecoder:
        """The tagger's CRF."""
        return self._needed_tagger().decoder

    @overload
    def extract(
        self, posts: Iterable[PostLike], *, batch_size: int = 32, on_error: Literal["raise"] = "raise"
    ) -> Iterator[Extraction]: ...

    @overload
    def extract(
        self, posts: Iterable[PostLike | Rejected], *, batch_size: int = 32, on_error: Literal["reject"]
    ) -> Iterator[Extraction | Rejected]: ...

    def extract(
        self,
        posts: Iterable[PostLike] | Iterable[PostLike | Rejected],
        *,
        batch_size: int = 32,
        on_error: Literal["raise", "reject"] = "raise",
    ) -> Iterator[Extraction] | Iterator[Extraction | Rejected]:
        """Find entities and relations in posts, one extraction a post, in order.

        Memory does not grow with the number of posts. A picture that cannot be read is said so in
        the extraction; the text is read all the same.

        Args:
            posts: any iterable, taken as it is needed.
            batch_size: windows of text read at once.
            on_error: what to do with an item that is no post: "raise" an InputError, or "reject" it: a
                `Rejected` with the reason comes in its place, and the others go on. Items that a reader
                rejected are then passed on, too.

        Raises:
            InputError: ``posts`` is a single post, or (while iterating) an item is no post.
            ConfigError: batch_size is not a number above 0, or on_error is none of the two.
        """
        if on_error == "reject":
            return with_rejected(posts, batch_size, lambda group: self._extracted(group, batch_size))
        if on_error != "raise":
            raise ConfigError(f"on_error is {on_error!r}", expected='"raise" or "reject"')
        return (extraction for extraction, _ in self.traced(posts, batch_size=batch_size))  # type: ignore[arg-type]

    def _extracted(self, posts: Sequence[Post], batch_size: int) -> list[Extraction]:
        return [extraction for extraction, _ in self._extractions(posts, batch_size)]

    def traced(
        self, posts: Iterable[PostLike], *, batch_size: int = 32
    ) -> Iterator[tuple[Extraction, Reading | None]]:
        """As `extract`, each with what the tagger saw in the post; None for a relation model alone."""
        groups = grouped(posts, batch_size)
        return chain.from_iterable(self._extractions(group, batch_size) for group in groups)

    def classify(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[tuple[Relation, ...]]:
        """What the pairs of the posts' gold relations are taken for, "None" included.

        What the gold says of them is not looked at: ends have the types that the tagger gives their
        words, or without a tagger those of gold entities. Arguments and errors as in `extract`.

        Returns:
            For each post a relation for each of its gold relations, in their order.

        Raises:
            ModelError: the model knows no relations.
        """
        return (row.relations for row in self.classified(posts, batch_size=batch_size))

    def classified(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Linked]:
        """As `classify`, and what became of each picture."""
        linker = self._needed_linker()
        groups = grouped(posts, batch_size)
        return chain.from_iterable(self._classified(linker, group, batch_size) for group in groups)

    def either_way(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Linked]:
        """What would be told of the pairs of the posts' gold relations, were these the entities found.

        As `classify`, but nobody says which end is the head: as in use both orders are read, and a relation
        is told where it is the most probable in one. Pairs in no relation are not told.
        """
        linker = self._needed_linker()
        groups = grouped(posts, batch_size)
        return chain.from_iterable(self._either_way(linker, group, batch_size) for group in groups)

    def linked(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Linked]:
        """The relations of `extract`, with what they rest on. Arguments and errors as there, and

        Raises:
            ModelError: the model knows no relations.
        """
        linker = self._needed_linker()
        for group in grouped(posts, batch_size):
            found = self._finder.find(group, batch_size)
            yield from linker.link(found.posts, batch_size, self._shared(found))

    def read(self, posts: Iterable[PostLike], *, batch_size: int = 32) -> Iterator[Reading]:
        """What the tagger saw in each post, before decoding; `decode` makes extractions of it.

        Arguments and errors as in `extract`.
        """
        read = self._needed_tagger().reader.read
        return chain.from_iterable(read(group, batch_size) for group in grouped(posts, batch_size))

    def decode(self, readings: Sequence[Reading]) -> list[Extraction]:
        """Extractions of some readings, in order, without relations."""
        found = self._needed_tagger().entities(readings)
        return [
            Extraction(r.post.id, r.post.text, row, r.picture, self.name, warnings=warnings_on(r))
            for r, row in zip(readings, found, strict=True)
        ]

    def judge(
        self, readings: Sequence[Reading], entities: Sequence[Sequence[Entity]]
    ) -> list[tuple[Entity, ...]]:
        """What the readings say of given entities of each post, whether they would be found there or not.

        Args:
            readings: of some posts.
            entities: of each, such as those found in the same post with another picture.
        """
        return self._needed_tagger().judge(readings, entities)

    def _extractions(
        self, posts: Sequence[Post], batch_size: int
    ) -> list[tuple[Extraction, Reading | None]]:  # fmt: skip
        found = self._finder.find(posts, batch_size)
        linked = [Linked(()) for _ in posts]
        if self._linker is not None:
            linked = self._linker.link(found.posts, batch_size, self._shared(found))
        extractions = [
            Extraction(
                post.id,
                post.text,
                tuple(found.posts[i].entities),
                _picture(found.pictures[i], linked[i].picture),
                self.name,
                relations=linked[i].relations,
                warnings=found.warnings[i] + linked[i].warnings,
            )
            for i, post in enumerate(posts)
        ]
        readings: Sequence[Reading | None] = found.readings or [None] * len(posts)
        return list(zip(extractions, readings, strict=True))

    def _classified(self, linker: Linker, posts: Sequence[Post], batch_size: int) -> list[Linked]:
        found, ends = self._finder.ends(posts, batch_size)
        return linker.classify(found.posts, ends, batch_size, self._shared(found), self._finder.guesses)

    def _either_way(self, linker: Linker, posts: Sequence[Post], batch_size: int) -> list[Linked]:
        found, ends = self._finder.ends(posts, batch_size)
        return linker.either_way(found.posts, ends, batch_size, self._shared(found))

    def _shared(self, found: Found) -> PostSources | None:
        """Sources that the tagger read just as the relation model would."""
        if self._linker is None or found.sources is None:
            return None
        return self._linker.reader.network.same(found.sources)

    def _needed_tagger(self) -> Tagger:
        if self._tagger is None:
            raise ModelError(
                "a relation model finds no entities", where=str(self.folder.path), expected="a tagger"
            )
        return self._tagger

    def _needed_linker(self) -> Linker:
        if self._linker is None:
            raise ModelError(
                "the model knows no relations",
                where=str(self.folder.path),
                expected="a relation model, or a tagger with one",
            )
        return self._linker


def _kept(folder: ModelFolder, cache: Path | None) -> FeatureCache | None:
    return FeatureCache(cache, folder.picture_fingerprint) if cache is not None else None


def _picture(tagger: PictureReport, relations: PictureReport | None) -> PictureReport:
    """What became of a picture that the relation model may be the only one to look at."""
    return relations if tagger.status == "none" and relations is not None else tagger
