"""Twofold as a component of a spaCy pipeline: ``nlp.add_pipe("twofold")``.

Entities are in ``doc.ents``, with ``ent._.confidence``, ``.uncertainty``, ``.sources``, ``.review`` and
``.candidates``. Relations are in ``doc._.relations``, and the whole result, as in a line of JSON, in
``doc._.twofold``. Set ``doc._.image`` and ``doc._.alt_text`` to a picture and its description. These three
are stored as plain data, so that a DocBin keeps them; the others are computed from ``doc._.twofold``.

spaCy's tokens differ from those of the model. An entity that begins or ends inside a token is expanded to the
whole token; if two entities then overlap, the more confident one is in ``doc.ents``, and a relation between
entities that share all tokens is left out. ``doc._.twofold`` has them all, with exact offsets. Entities that
were in ``doc.ents`` before stay, except where ours overlap them (``overwrite_ents``).

spaCy finds this module by the entry point ``spacy_factories``; spaCy itself is imported only when the factory
is requested. It reads the annotations of the factory, so their evaluation must not be postponed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from twofold.corpora.attachments import check_folder
from twofold.corpora.confinement import confined
from twofold.corpora.jsonl import parse_post
from twofold.corpora.lines import rejected
from twofold.errors import ConfigError, InputError
from twofold.extras import extra_module
from twofold.pipeline.extractor import Extractor, load
from twofold.posts import MAX_CHARACTERS, Post, Rejected
from twofold.records import to_record

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span
    from spacy.training import Example

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
    "overwrite_ents": True,
}
"""Default configuration of the component; see `twofold.load`, `Extractor.map_batches` and `set_entities`."""
SPAN_EXTENSIONS = ("confidence", "uncertainty", "sources", "review", "candidates")
_SCORE_WEIGHTS = {"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None}
ErrorHandler = Callable[[str, "TwofoldComponent", "list[Doc]", Exception], None]
"""What spaCy calls with the component's name, the component, the failed Docs and the error."""


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
        overwrite_ents: as in `set_entities`.
        name: of the component in its pipeline.

    Raises:
        DataError: there is no folder ``images``.
    """

    def __init__(
        self,
        extractor: Extractor,
        images: Path | None = None,
        allow_outside: bool = False,
        batch_size: int = 32,
        overwrite_ents: bool = True,
        name: str = FACTORY,
    ) -> None:
        self.extractor, self.name = extractor, name
        self._images, self._allow_outside, self._batch_size = images or Path(), allow_outside, batch_size
        self._overwrite_ents = overwrite_ents
        self._error_handler: ErrorHandler = _raise
        check_folder(self._images)

    @property
    def labels(self) -> tuple[str, ...]:
        """Entity types the model predicts."""
        return self.extractor.types

    def __call__(self, doc: "Doc") -> "Doc":
        """Add the entities and relations to a Doc, and return it.

        Raises:
            InputError: ``doc._.image`` is not a picture, or the text is too long.
        """
        for _, error in self._processed([doc]):
            if error is not None:
                raise error  # spaCy passes it to the error handler
        return doc

    def pipe(self, stream: "Iterable[Doc]", batch_size: int = 0) -> "Iterator[Doc]":
        """Process Docs in order; spaCy's ``batch_size``, which counts Docs, is not used.

        A Doc that is not a valid post is passed to the error handler, which by default raises its InputError;
        if the handler returns, the Doc is left out, as in spaCy's own components.
        """
        for doc, error in self._processed(stream):
            if error is None:
                yield doc
            else:
                self._error_handler(self.name, self, [doc], error)

    def set_error_handler(self, error_handler: ErrorHandler) -> None:
        """Set what `pipe` calls for a Doc that cannot be processed; ``nlp.set_error_handler`` does so."""
        self._error_handler = error_handler

    def get_error_handler(self) -> ErrorHandler:
        """The error handler."""
        return self._error_handler

    def score(self, examples: "Iterable[Example]", **options: Any) -> dict[str, Any]:
        """Precision, recall and F1 of the entities, by spaCy's scorer; ``nlp.evaluate`` calls it."""
        scores: dict[str, Any] = _module("scorer").get_ner_prf(examples, **options)
        return scores

    def _processed(self, stream: "Iterable[Doc]") -> "Iterator[tuple[Doc, InputError | None]]":
        """The Docs in order, each with its entities or the reason why it is not a valid post."""
        waiting: deque[Doc] = deque()

        def parsed() -> Iterator[Post | Rejected]:
            for number, doc in enumerate(stream):
                waiting.append(doc)
                record = {"id": number, "text": doc.text, "image": doc._.image, "alt_text": doc._.alt_text}
                origin = f"doc {number}"
                try:
                    yield parse_post(record, origin, self._images)
                except InputError as error:
                    yield rejected(error, origin.encode())

        posts = parsed() if self._allow_outside else confined(parsed(), self._images)
        for result in self.extractor.extract(posts, batch_size=self._batch_size, on_error="reject"):
            doc = waiting.popleft()
            if isinstance(result, Rejected):
                yield doc, InputError(result.reason, where=result.origin)
                continue
            doc._.twofold = to_record(result)
            set_entities(doc, self._overwrite_ents)
            yield doc, None


def _raise(name: str, component: TwofoldComponent, docs: "list[Doc]", error: Exception) -> None:
    raise error


def set_entities(doc: "Doc", overwrite_ents: bool = True) -> "list[Span]":
    """Add the entities of ``doc._.twofold`` to ``doc.ents``.

    Args:
        doc: a processed Doc.
        overwrite_ents: whether they replace entities already in ``doc.ents`` that they overlap; otherwise
            these stay, and those that overlap them are only in ``doc._.twofold``.

    Returns:
        Those added, in order: of several that overlap the most confident.
    """
    before = list(doc.ents)
    taken = set[int]() if overwrite_ents else _tokens(before)
    added: list[Span] = []
    found = zip(_spans(doc), doc._.twofold["entities"], strict=True)
    for span, _ in sorted(found, key=lambda pair: -_confidence(pair[1])):
        tokens = range(span.start, span.end)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            added.append(span)
    replaced = _tokens(added)
    doc.set_ents([*added, *(span for span in before if replaced.isdisjoint(range(span.start, span.end)))])
    return sorted(added, key=lambda span: span.start)


def _tokens(spans: "Iterable[Span]") -> set[int]:
    return {token for span in spans for token in range(span.start, span.end)}


def _confidence(entity: dict[str, Any]) -> float:
    return float(entity.get("confidence") or 0)


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
    found = [
        DocRelation(**(relation | {name: spans[relation[name]] for name in arguments}))
        for relation in doc._.twofold["relations"]
    ]
    return [r for r in found if (r.head.start, r.head.end) != (r.tail.start, r.tail.end)]


class _SpanField:
    """Getter for a field of the entity at a span, the most confident; None if the span is not an entity."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, span: "Span") -> Any:
        at_span: list[dict[str, Any]] = []
        for entity in (span.doc._.twofold or {"entities": []})["entities"]:
            found = _span(span.doc, entity)
            if (found.start, found.end, found.label) == (span.start, span.end, span.label):
                at_span.append(entity)
        return max(at_span, key=_confidence).get(self.name) if at_span else None


_IMAGE_KEY = ("._.", "image", None, None)
"""Where spaCy keeps ``doc._.image`` in ``doc.user_data``."""


def _image(doc: "Doc") -> Any:
    return doc.user_data.get(_IMAGE_KEY)


def _set_image(doc: "Doc", image: Any) -> None:
    """Store a path as text: a DocBin cannot store path objects."""
    doc.user_data[_IMAGE_KEY] = str(image) if isinstance(image, PurePath) else image


def register() -> Any:
    """Register the component and its extensions with spaCy; return the factory.

    Raises:
        MissingExtraError: spaCy is not installed.
        ConfigError: another package uses one of the extensions' names.
    """
    language, tokens = _module("language").Language, _module("tokens")
    if not tokens.Doc.has_extension("image"):
        tokens.Doc.set_extension("image", getter=_image, setter=_set_image)
    for name in ("alt_text", "twofold"):
        if not tokens.Doc.has_extension(name):
            tokens.Doc.set_extension(name, default=None)
    _extend(tokens.Doc, "relations", _relations)
    for name in SPAN_EXTENSIONS:
        _extend(tokens.Span, name, _SpanField(name))
    assigns = ["doc.ents", "token.ent_iob", "token.ent_type"]
    return language.factory(
        FACTORY, default_config=DEFAULTS, assigns=assigns, default_score_weights=_SCORE_WEIGHTS
    )(_make)


def _module(name: str) -> Any:
    return extra_module(f"spacy.{name}", "spacy", "Components of spaCy pipelines")


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
    overwrite_ents: bool,
) -> TwofoldComponent:
    extractor = load(
        model,
        relation_model=None if relations else False,
        threads=threads,
        max_error=max_error,
        coverage=coverage,
        max_characters=max_characters,
    )
    folder = Path(images) if images else None
    return TwofoldComponent(extractor, folder, allow_outside, batch_size, overwrite_ents, name)


def __getattr__(name: str) -> Any:
    if name == "factory":  # the name in the entry point
        return register()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
