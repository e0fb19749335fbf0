"""The data model: a post with its picture, and what was found in it.

Plain frozen data and nothing else: no file formats, no framework, no model. All offsets are Unicode
code points into ``text``, start inclusive, end exclusive, exactly as Python slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

PictureStatus = Literal["read", "none", "unreadable"]
MAX_CHARACTERS = 200_000
"""Default limit on the length of a post: text, alternative text and labels of regions together."""
RegionKind = Literal["object", "phrase", "text"]


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Hierarchical uncertainty of a Normal-Inverse-Gamma (both ≥ 0, in squared tag-score units).

    Attributes:
        aleatoric: Σ β/(α−1), expected noise of the data, summed over the tags (or relations).
        epistemic: Σ β/(γ(α−1)), variance of the mean: what the model does not know.
    """

    aleatoric: float
    epistemic: float


@dataclass(frozen=True, slots=True)
class SourceEvidence:
    """What one source (text, picture, alt_text, …) contributed to a prediction.

    Attributes:
        share: part of the pooled tag score that came from this source, in [0, 1]; for a source
            besides the text, by how much it revised the scores of the text. Shares of the sources that
            were present sum to 1.
        aleatoric: as in `Uncertainty`, from the source's own distribution.
        epistemic: as in `Uncertainty`, from the source's own distribution.
    """

    share: float
    aleatoric: float
    epistemic: float


@dataclass(frozen=True, slots=True)
class Entity:
    """A typed span of ``text``; gold (no confidence) or predicted (with one).

    Attributes:
        start: first code point of the span.
        end: one past its last code point.
        text: the span itself, ``post.text[start:end]``.
        type: PER, LOC, ORG or MISC for the shipped model.
        confidence: probability in [0, 1] that exact span and type are right; None for gold.
        uncertainty: of the fused distribution; None for gold and for models without evidence.
        sources: evidence by source name; empty for gold and for models without evidence.
        well_formed: False for a gold span whose BIO run began with ``I-``: counted by the lenient
            scorer (conlleval), not by the strict one.
        review: whether a person should review it, if a maximum error rate was set; else None.
        candidates: prediction set of types with the requested coverage of the true type, the most probable
            first; it may contain "none": no entity with this span. None if no coverage was requested.
    """

    start: int
    end: int
    text: str
    type: str
    confidence: float | None = None
    uncertainty: Uncertainty | None = None
    sources: Mapping[str, SourceEvidence] = field(default_factory=dict)
    well_formed: bool = True
    review: bool | None = None
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed, directed relation between two spans of ``text``; gold or predicted.

    Attributes:
        head: first argument. tail: second; it may come first in the text, and gold arguments may overlap.
        type: such as ``/per/org/member_of``; "None" for a pair known to have no relation.
        confidence: probability in [0, 1] of the type for exactly these two arguments; None for gold.
        uncertainty: as in `Entity`.
        sources: as in `Entity`.
        review: as in `Entity`.
        candidates: prediction set of relations from head to tail, as in `Entity`; "None" in it means no
            relation in this direction.
    """

    head: Entity
    tail: Entity
    type: str
    confidence: float | None = None
    uncertainty: Uncertainty | None = None
    sources: Mapping[str, SourceEvidence] = field(default_factory=dict)
    review: bool | None = None
    candidates: tuple[str, ...] | None = None

    @property
    def words(self) -> str:
        """The type in readable form: "member of" for ``/per/org/member_of``."""
        return in_words(self.type)


def in_words(relation: str) -> str:
    """A relation type in readable form: "member of" for ``/per/org/member_of``."""
    return relation.rstrip("/").rpartition("/")[2].replace("_", " ").strip() or relation


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture in which something was detected beforehand.

    Attributes:
        box: (x0, y0, x1, y1), left, top, right and bottom as fractions of the width and height of the
            upright picture.
        label: class of an object, phrase that was searched for, or recognised text.
        score: score of the detector, in [0, 1].
        kind: ``object`` (a detector's class), ``phrase`` (matches a phrase), ``text`` (recognised text).
    """

    box: tuple[float, float, float, float]
    label: str = ""
    score: float = 1.0
    kind: RegionKind = "object"


@dataclass(frozen=True, slots=True)
class RefusedPicture:
    """A picture that must not be opened; it counts as unreadable.

    Attributes:
        path: as the post names it.
        reason: why not.
        do: what to do about it.
    """

    path: Path
    reason: str
    do: str = ""


Image = Path | bytes | RefusedPicture
"""A picture: its file, its file's bytes, or a file that must not be opened."""


@dataclass(frozen=True, slots=True)
class Post:
    """One post as it came in.

    Attributes:
        id: the user's own identifier, returned unchanged.
        text: what the post says; may be empty.
        tokens: (start, end) of each word of a tokenized corpus; None for raw text.
        image: path of the picture, its bytes, or a path that is refused; None where the post has none.
        alt_text: a description of the picture, a source of evidence in its own right.
        entities: gold spans; None where unlabelled (empty where labelled and without any).
        relations: gold relations; None where unlabelled.
        regions: what was detected in the picture beforehand; None if no detector was run.
        origin: "file:line" it was read from, for messages.
        picture_name: name of the post's picture in its data set, if no folder of pictures was given; else
            empty.
        carried: values of other columns that are copied to the output, as JSON can hold them.
    """

    id: str | int
    text: str
    tokens: tuple[tuple[int, int], ...] | None = None
    image: Image | None = None
    alt_text: str | None = None
    entities: tuple[Entity, ...] | None = None
    relations: tuple[Relation, ...] | None = None
    regions: tuple[Region, ...] | None = None
    origin: str = ""
    picture_name: str = ""
    carried: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An input record that could not become a post; it goes to the rejects file.

    Attributes:
        origin: "file:line".
        reason: the message shown to the user.
        raw: the record as received (bytes that are not UTF-8 shown as escapes).
    """

    origin: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class PictureReport:
    """Whether a post's picture was read.

    Attributes:
        status: ``read``, ``none`` (the post has no picture), ``unreadable``.
        reason: why it was unreadable, or a warning about how it was read; empty otherwise.
    """

    status: PictureStatus
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Truncation:
    """A part of a post that a model read incompletely.

    Attributes:
        what: ``context`` (words around each word, of a post longer than one window; every word is read),
            ``alt_text``, ``objects``, ``ocr`` (word pieces), ``pairs`` (pairs of entities checked for a
            relation), ``pair_context`` (pairs read with the whole post as context).
        read: how much was read, at most.
        total: how much there is; more than ``read``.
    """

    what: str
    read: int
    total: int

    @property
    def remark(self) -> str:
        """The same as a sentence."""
        return _REMARKS.get(self.what, _TEXT_REMARK).format(
            read=self.read, total=f"{self.total:,}", what=self.what.replace("_", " ")
        )


_TEXT_REMARK = "only the first {read} of {total} word pieces of the {what} were read"
_REMARKS = {
    "context": "the post was read in windows of at most {read} of its {total} words",
    "pairs": "only the {read} nearest of {total} pairs of entities were checked for relations",
    "pair_context": "only {read} of {total} pairs of entities were read with the whole post as context",
}


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in one post.

    Attributes:
        id: the post's own.
        text: the post's own, unchanged.
        entities: in order of their start; they never overlap.
        picture: whether the picture was read.
        model: name of the model that made the extraction.
        warnings: warnings about this post (an empty text, for instance).
        relations: among the entities, in the order of their heads and then of their tails; at most one
            between two of them. Also empty for a model that extracts none.
        truncated: parts of the post that were read incompletely; usually none.
    """

    id: str | int
    text: str
    entities: tuple[Entity, ...]
    picture: PictureReport
    model: str
    warnings: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    truncated: tuple[Truncation, ...] = ()

    def with_confidence(self, minimum: float) -> Extraction:
        """Drop entities and relations of a lower confidence, and relations of dropped entities.

        Args:
            minimum: in [0, 1]; entities and relations without a confidence are kept.
        """
        entities = tuple(entity for entity in self.entities if _confident(entity, minimum))
        kept = {(entity.start, entity.end, entity.type) for entity in entities}
        relations = tuple(
            relation
            for relation in self.relations
            if _confident(relation, minimum)
            and {(entity.start, entity.end, entity.type) for entity in (relation.head, relation.tail)} <= kept
        )
        return replace(self, entities=entities, relations=relations)


Labelled = TypeVar("Labelled", Post, Extraction)


def with_types(of: Labelled, types: Mapping[str, str]) -> Labelled:
    """A post or an extraction with other entity types.

    Args:
        of: the post or extraction; a relation is dropped together with its head or tail.
        types: new names of types, "" to drop the entities of a type; other types keep their names.
    """
    relations = of.relations and tuple(_relations(of.relations, types))
    return replace(of, entities=of.entities and renamed(of.entities, types), relations=relations)


def renamed(entities: Iterable[Entity], types: Mapping[str, str]) -> tuple[Entity, ...]:
    """Entities with other types; see `with_types`."""
    kept = (entity for entity in entities if types.get(entity.type) != "")
    return tuple(replace(entity, type=types.get(entity.type, entity.type)) for entity in kept)


def _relations(relations: Iterable[Relation], types: Mapping[str, str]) -> Iterator[Relation]:
    for relation in relations:
        arguments = renamed((relation.head, relation.tail), types)
        if len(arguments) == 2:
            yield replace(relation, head=arguments[0], tail=arguments[1])


def _confident(of: Entity | Relation, minimum: float) -> bool:
    return of.confidence is None or of.confidence >= minimum
