"""Twofold as a component of a spaCy pipeline: ``nlp.add_pipe("twofold")``.

Entities are in ``doc.ents``, with ``ent._.confidence``, ``.uncertainty``, ``.sources``, ``.review`` and
``.candidates``. Relations are in ``doc._.relations``, and the whole result, as in a line of JSON, in
``doc._.twofold``. Set ``doc._.image`` and ``doc._.alt_text`` to a picture and its description. Only
``doc._.twofold`` is stored, as plain data, so that a DocBin keeps it.

spaCy's tokens differ from those of the model. An entity that begins or ends inside a token is expanded to the
whole token; if two entities then overlap, the more confident one is in ``doc.ents``. Offsets in
``doc._.twofold`` are exact.

spaCy finds this module by the entry point ``spacy_factories``; spaCy itself is imported only when the factory
is requested. It reads the annotations of the factory, so their evaluation must not be postponed.
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
"""Default configuration of the component; see `twofold.load` and `Extractor.map_batches`."""
SPAN_EXTENSIONS = ("confidence", "uncertainty", "sources", "review", "candidates")


class DocRelation(NamedTuple):
    """A relation between two entities of a Doc.

    Attributes:
        head, tail: Spans of the Doc.
        type: of the relation.
        confidence, uncertainty, sources, review, candidates: as for entities.
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
    """Adds entities and relations to Docs.

    Args:
        extractor: the model.
        images, allow_outside, batch_size: as in `Extractor.map_batches`.
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
        """Add the entities and relations to a Doc, and return it.

        Raises:
            InputError: ``doc._.image`` is not a picture, or the text is too long.
        """
        return next(self.pipe([doc]))

    def pipe(self, stream: "Iterable[Doc]", batch_size: int = 0) -> "Iterator[Doc]":
        """Process Docs in order; spaCy's ``batch_size``, which counts Docs, is not used."""
        waiting: deque[Doc] = deque()

        def parsed() -> Iterator[Post | Rejected]:
            for number, doc in enumerate(stream):
                waiting.append(doc)
                record = {"id": number, "text": doc.text, "image": doc._.image, "alt_text": doc._.alt_text}
                yield parse_post(record, f"doc {number}", self._images)

        items = parsed() if self._allow_outside else confined(parsed(), self._images)
        posts = (item for item in items if isinstance(item, Post))  # none is rejected: `parse_post` raises
        for extraction in self.extractor.extract(posts, batch_size=self._batch_size):
            doc = waiting.popleft()
            doc._.twofold = to_record(extraction)
            set_entities(doc)
            yield doc


def set_entities(doc: "Doc") -> "list[Span]":
    """Set the entities of a Doc from ``doc._.twofold``; return them, without overlaps."""
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
    """The entities as spans of tokens, in order."""
    return [_span(doc, entity) for entity in doc._.twofold["entities"]]


def _span(doc: "Doc", entity: dict[str, Any]) -> "Span":
    start, end, label = entity["start"], entity["end"], entity["type"]
    span: Span = doc.char_span(start, end, label=label, alignment_mode="expand")
    return span


def _relations(doc: "Doc") -> list[DocRelation]:
    if doc._.twofold is None:
        return []
    spans = _spans(doc)
    arguments = ("head", "tail")
    return [
        DocRelation(**(relation | {name: spans[relation[name]] for name in arguments}))
        for relation in doc._.twofold["relations"]
    ]


class _SpanField:
    """Getter for a field of the entity at a span; None if the span is not an entity."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, span: "Span") -> Any:
        for entity in (span.doc._.twofold or {"entities": []})["entities"]:
            found = _span(span.doc, entity)
            if (found.start, found.end, found.label) == (span.start, span.end, span.label):
                return entity.get(self.name)
        return None


def register() -> Any:
    """Register the component and its extensions with spaCy; return the factory.

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
    for name in SPAN_EXTENSIONS:
        _extend(tokens.Span, name, _SpanField(name))
    assigns = ["doc.ents", "token.ent_iob", "token.ent_type"]
    return language.factory(FACTORY, default_config=DEFAULTS, assigns=assigns)(_make)


def _extend(of: Any, name: str, getter: Any) -> None:
    if of.has_extension(name):
        existing = of.get_extension(name)[2]
        if getattr(existing, "__module__", None) == __name__ or type(existing) is _SpanField:
            return
        raise ConfigError(
            f"{of.__name__}._.{name} is already used by another package",
            expected="a name that is not in use",
            do=f"remove it first: {of.__name__}.remove_extension({name!r})",
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
    if name == "factory":  # the name in the entry point
        return register()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
