"""Twofold as a component of a spaCy pipeline: ``nlp.add_pipe("twofold")``.

Entities come out as ``doc.ents``; ``ent._.confidence``, ``.uncertainty``, ``.sources``, ``.review`` and
``.candidates`` say how certain they are; ``doc._.relations`` holds the relations between them, and
``doc._.twofold`` everything as in a line of JSON. A picture and its description go in as ``doc._.image`` and
``doc._.alt_text``. Only ``doc._.twofold`` is stored, as plain data, so that a DocBin keeps it.

spaCy's tokens are not those of the model: an entity that begins or ends inside a token is widened to the
whole of it, and of two that then overlap the more confident one is in ``doc.ents``. Offsets in
``doc._.twofold`` are exact.

spaCy finds this module by the entry point ``spacy_factories``, and is imported when that is asked for. It
reads the annotations of the factory, which therefore must not be postponed.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from twofold.corpora.confinement import confined
from twofold.corpora.jsonl import parse_post
from twofold.errors import ConfigError
from twofold.extras import extra_module
from twofold.pipeline.extractor import Extractor, load
from twofold.posts import MAX_CHARACTERS, Post, Rejected
from twofold.records import to_record

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span

FACTORY = "twofold"
DEFAULTS: dict[str, Any] = {
    "model": None,
    "relations": True,
    "threads": None,
    "max_error": None,
    "coverage": None,
    "max_characters": MAX_CHARACTERS,
    "images": None,
    "allow_outside": False,
    "batch_size": 32,
}
"""Configuration of the component: as of `twofold.load` and `Extractor.map_batches`."""
OF_SPANS = ("confidence", "uncertainty", "sources", "review", "candidates")


class DocRelation(NamedTuple):
    """A relation between two entities of a Doc.

    Attributes:
        head: a Span of the Doc. tail: likewise.
        type: of the relation. confidence: and so on, as of the entities.
    """

    head: "Span"
    tail: "Span"
    type: str
    confidence: float | None = None
    uncertainty: dict[str, float] | None = None
    sources: dict[str, dict[str, float]] | None = None
    review: bool | None = None
    candidates: list[str] | None = None


class TwofoldComponent:
    """Reads Docs.

    Args:
        extractor: the model.
        images: folder of the pictures, as of `Extractor.map_batches`.
        allow_outside: likewise.
        batch_size: likewise.
    """

    def __init__(
        self,
        extractor: Extractor,
        images: Path | None = None,
        allow_outside: bool = False,
        batch_size: int = 32,
    ) -> None:
        self.extractor = extractor
        self._images, self._allow_outside, self._batch_size = images or Path(), allow_outside, batch_size

    def __call__(self, doc: "Doc") -> "Doc":
        """The same Doc with its entities.

        Raises:
            InputError: ``doc._.image`` is no picture, or the text is too long.
        """
        return next(self.pipe([doc]))

    def pipe(self, stream: "Iterable[Doc]", batch_size: int = 0) -> "Iterator[Doc]":
        """The same Docs in order; ``batch_size`` of spaCy counts Docs, and is not used."""
        waiting: deque[Doc] = deque()

        def taken() -> Iterator[Post | Rejected]:
            for number, doc in enumerate(stream):
                waiting.append(doc)
                record = {"id": number, "text": doc.text, "image": doc._.image, "alt_text": doc._.alt_text}
                yield parse_post(record, f"doc {number}", self._images)

        items = taken() if self._allow_outside else confined(taken(), self._images)
        posts = (item for item in items if isinstance(item, Post))  # none was rejected: an error was raised
        for extraction in self.extractor.extract(posts, batch_size=self._batch_size):
            doc = waiting.popleft()
            doc._.twofold = to_record(extraction)
            set_entities(doc)
            yield doc


def set_entities(doc: "Doc") -> "list[Span]":
    """Make the entities of ``doc._.twofold`` those of the Doc; gives them, without overlap."""
    kept: list[Span] = []
    for span in _spans(doc):
        if kept and span.start < kept[-1].end:
            if (span._.confidence or 0) <= (kept[-1]._.confidence or 0):
                continue
            kept.pop()
        kept.append(span)
    doc.set_ents(kept)
    return kept


def _spans(doc: "Doc") -> "list[Span]":
    """The entities as spans of tokens, in their order."""
    return [_span(doc, entity) for entity in doc._.twofold["entities"]]


def _span(doc: "Doc", entity: dict[str, Any]) -> "Span":
    start, end, label = entity["start"], entity["end"], entity["type"]
    span: Span = doc.char_span(start, end, label=label, alignment_mode="expand")
    return span


def _relations(doc: "Doc") -> list[DocRelation]:
    if doc._.twofold is None:
        return []
    spans = _spans(doc)
    ends = ("head", "tail")
    return [
        DocRelation(**(relation | {end: spans[relation[end]] for end in ends}))
        for relation in doc._.twofold["relations"]
    ]


class _OfSpan:
    """Gets one field of the entity that a span stands for; None for another span."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, span: "Span") -> Any:
        for entity in (span.doc._.twofold or {"entities": []})["entities"]:
            found = _span(span.doc, entity)
            if (found.start, found.end, found.label) == (span.start, span.end, span.label):
                return entity.get(self.name)
        return None


def register() -> Any:
    """Make spaCy know the component and its extensions; gives the factory.

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigError: another package uses one of the extensions' names.
    """
    language = extra_module("spacy.language", "spacy", "Components of spaCy pipelines").Language
    tokens = extra_module("spacy.tokens", "spacy", "Components of spaCy pipelines")
    for name in ("image", "alt_text", "twofold"):
        if not tokens.Doc.has_extension(name):
            tokens.Doc.set_extension(name, default=None)
    _extend(tokens.Doc, "relations", _relations)
    for name in OF_SPANS:
        _extend(tokens.Span, name, _OfSpan(name))
    assigns = ["doc.ents", "token.ent_iob", "token.ent_type"]
    return language.factory(FACTORY, default_config=DEFAULTS, assigns=assigns)(_make)


def _extend(of: Any, name: str, getter: Any) -> None:
    if of.has_extension(name):
        there = of.get_extension(name)[2]
        if getattr(there, "__module__", None) == __name__ or type(there) is _OfSpan:
            return
        raise ConfigError(
            f"{of.__name__}._.{name} is taken by another package",
            expected="a free name",
            do=f"remove it before: {of.__name__}.remove_extension({name!r})",
        )
    of.set_extension(name, getter=getter)


def _make(
    nlp: Any,
    name: str,
    model: str | None,
    relations: bool,
    threads: int | None,
    max_error: float | None,
    coverage: float | None,
    max_characters: int | None,
    images: str | None,
    allow_outside: bool,
    batch_size: int,
) -> TwofoldComponent:
    extractor = load(
        model,
        relation_model=None if relations else False,
        threads=threads,
        max_error=max_error,
        coverage=coverage,
        max_characters=max_characters,
    )
    return TwofoldComponent(extractor, Path(images) if images else None, allow_outside, batch_size)


def __getattr__(name: str) -> Any:
    if name == "factory":  # what the entry point names
        return register()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
