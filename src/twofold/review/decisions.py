"""Decisions of a reviewer on the predictions of one post, and the review that results from them.

A review is the fold of its decisions in order: the last one on a prediction counts. The module is pure: it
uses no database, no clock and no other reviewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from twofold.errors import InputError
from twofold.posts import Entity, Relation

Answer = Literal["accept", "correct", "reject"]
Status = Literal["open", "finished", "skipped"]
ACCEPT: Answer = "accept"
CORRECT: Answer = "correct"
REJECT: Answer = "reject"
ANSWERS = (ACCEPT, CORRECT, REJECT)
_STATUS: dict[str, Status] = {"finish": "finished", "skip": "skipped", "reopen": "open"}
ABOUT = ("entity", "relation", "add", *_STATUS)
"""What a decision can be about; ``add`` is an entity that the model missed."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The predictions for one post, as in the results.

    Attributes:
        id: of the post. text: of the post.
        entities: predicted, with their confidence. relations: between these.
    """

    id: str | int
    text: str
    entities: tuple[Entity, ...]
    relations: tuple[Relation, ...]


class Confidences(NamedTuple):
    """Confidences of the predictions of one post; None where a prediction has none.

    Attributes:
        number: of the post. entities: in order. relations: in order.
    """

    number: int
    entities: tuple[float | None, ...]
    relations: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one reviewer on one post.

    Attributes:
        about: one of `ABOUT`.
        item: number of the entity or relation; entities that were added are numbered after the predicted.
        answer: of an entity or relation.
        start: of an added or corrected span. end: likewise.
        type: of an added or corrected entity or relation.
    """

    about: str
    item: int | None = None
    answer: Answer | None = None
    start: int | None = None
    end: int | None = None
    type: str | None = None

    @staticmethod
    def parse(value: object) -> Decision:
        """A decision from JSON.

        Raises:
            InputError: the value is not a decision.
        """
        if not isinstance(value, dict):
            raise InputError("the decision is not an object", expected='{"about": "entity", "item": 0, …}')
        unknown = sorted(map(str, set(value) - set(Decision.__slots__)))
        if unknown:
            raise InputError(
                f"the decision has the key {unknown[0]!r}", expected=", ".join(Decision.__slots__)
            )
        if value.get("about") not in ABOUT:
            raise InputError(f"about is {value.get('about')!r:.40}", expected=" or ".join(ABOUT))
        answer = value.get("answer")
        if (value["about"] in ("entity", "relation")) != (answer is not None):
            raise InputError("an answer belongs to an entity or a relation", expected="one for each of these")
        if answer is not None and answer not in ANSWERS:
            raise InputError(f"answer is {answer!r:.40}", expected=" or ".join(ANSWERS))
        numbers = {name: _number(value, name) for name in ("item", "start", "end")}
        type_ = value.get("type")
        if type_ is not None and not (isinstance(type_, str) and type_):
            raise InputError(f"type is {type_!r:.40}", expected='the name of a type such as "PER"')
        return Decision(value["about"], answer=answer, type=type_, **numbers)

    def record(self) -> dict[str, Any]:
        """The decision as JSON, without absent parts."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class EntityReview:
    """An entity under review.

    Attributes:
        entity: its current state: predicted, corrected or added.
        answer: None while undecided; an added entity counts as accepted.
        predicted: as the model predicted it; None for an added entity.
    """

    entity: Entity
    answer: Answer | None = None
    predicted: Entity | None = None


@dataclass(frozen=True, slots=True)
class RelationReview:
    """A relation under review: its arguments as numbers of entities, and its current type.

    Attributes:
        head: number of the head entity. tail: of the tail entity.
        type: predicted or corrected. confidence: of the prediction.
        answer: None while undecided.
    """

    head: int
    tail: int
    type: str
    confidence: float | None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class PostReview:
    """The review of one post by one reviewer.

    Attributes:
        proposal: the predictions.
        entities: the predicted ones in order, then the added ones.
        relations: the predicted ones in order.
        status: ``finished`` where everything is decided and nothing is missing.
    """

    proposal: Proposal
    entities: tuple[EntityReview, ...]
    relations: tuple[RelationReview, ...]
    status: Status = "open"

    @staticmethod
    def of(proposal: Proposal, decisions: Iterable[Decision] = ()) -> PostReview:
        """The review that results from decisions, in order."""
        review = PostReview(
            proposal,
            tuple(EntityReview(entity, None, entity) for entity in proposal.entities),
            tuple(_relation_reviews(proposal)),
        )
        for decision in decisions:
            review = review.with_decision(decision)
        return review

    @property
    def undecided(self) -> list[Decision]:
        """For each prediction without an answer, the decision that would accept it.

        A relation is rejected with either of its arguments, and then needs no decision of its own.
        """
        return [
            *(Decision("entity", i, ACCEPT) for i, item in enumerate(self.entities) if item.answer is None),
            *(
                Decision("relation", i, ACCEPT)
                for i, item in enumerate(self.relations)
                if item.answer is None and self._arguments_kept(item)
            ),
        ]

    @property
    def final_entities(self) -> tuple[Entity, ...]:
        """The accepted, corrected and added entities, in order of their start, without confidences."""
        kept = [item.entity for item in self.entities if item.answer in (ACCEPT, CORRECT)]
        return tuple(sorted(map(_bare, kept), key=lambda entity: (entity.start, entity.end)))

    @property
    def final_relations(self) -> tuple[Relation, ...]:
        """The accepted and corrected relations between final entities; rejected ones have the type "None"."""
        return tuple(
            Relation(
                _bare(self.entities[item.head].entity),
                _bare(self.entities[item.tail].entity),
                "None" if item.answer == REJECT else item.type,
            )
            for item in self.relations
            if item.answer is not None and self._arguments_kept(item, decided=True)
        )

    def with_decision(self, decision: Decision) -> PostReview:
        """The review after one more decision.

        Raises:
            InputError: the decision names an item that this post does not have, or an invalid span.
        """
        if decision.about in _STATUS:
            return replace(self, status=_STATUS[decision.about])
        if decision.about == "relation":
            return self._with_relation(decision)
        if decision.about == "add":
            added = EntityReview(self._span(decision, None), ACCEPT)
            return replace(self, entities=(*self.entities, added))
        number = self._item(decision, len(self.entities))
        item = self.entities[number]
        entity = self._span(decision, item) if decision.answer == CORRECT else item.entity
        if decision.answer == ACCEPT and item.predicted is not None:
            entity = item.predicted  # accepting means that the model was right
        changed = EntityReview(entity, decision.answer, item.predicted)
        return replace(self, entities=(*self.entities[:number], changed, *self.entities[number + 1 :]))

    def overlapped_by(self, decision: Decision) -> list[Decision]:
        """A rejection of each entity that an added, corrected or accepted one would overlap."""
        if decision.about not in ("add", "entity") or decision.answer == REJECT:
            return []
        after = self.with_decision(decision)
        number = len(after.entities) - 1 if decision.about == "add" else decision.item
        assert number is not None
        span = after.entities[number].entity
        return [
            Decision("entity", i, REJECT)
            for i, item in enumerate(after.entities)
            if i != number and item.answer != REJECT and _overlap(item.entity, span)
        ]

    def _with_relation(self, decision: Decision) -> PostReview:
        number = self._item(decision, len(self.relations))
        if decision.answer == CORRECT and not decision.type:
            raise InputError("the corrected relation has no type", expected="a type of relation")
        type_ = decision.type if decision.answer == CORRECT else self.proposal.relations[number].type
        changed = replace(self.relations[number], answer=decision.answer, type=type_ or "")
        return replace(self, relations=(*self.relations[:number], changed, *self.relations[number + 1 :]))

    def _arguments_kept(self, item: RelationReview, decided: bool = False) -> bool:
        answers = [self.entities[number].answer for number in (item.head, item.tail)]
        return all(v in (ACCEPT, CORRECT) or (v is None and not decided) for v in answers)

    def _item(self, decision: Decision, count: int) -> int:
        if decision.item is None or not 0 <= decision.item < count:
            raise InputError(
                f"item is {decision.item}",
                where=f"post {self.proposal.id}",
                expected=f"an item below {count}, of kind {decision.about}",
            )
        return decision.item

    def _span(self, decision: Decision, old: EntityReview | None) -> Entity:
        start, end, type_ = decision.start, decision.end, decision.type
        if old is not None:
            start = old.entity.start if start is None else start
            end = old.entity.end if end is None else end
            type_ = type_ or old.entity.type
        text = self.proposal.text
        if start is None or end is None or not 0 <= start < end <= len(text) or not text[start:end].strip():
            raise InputError(
                f"the span runs from {start} to {end}",
                where=f"post {self.proposal.id}",
                expected=f"0 ≤ start < end ≤ {len(text)}, and not only spaces between",
            )
        if not type_:
            raise InputError("the entity has no type", expected='a type such as "PER"')
        return Entity(start, end, text[start:end], type_)


def _relation_reviews(proposal: Proposal) -> Iterator[RelationReview]:
    number = {(e.start, e.end, e.type): i for i, e in enumerate(proposal.entities)}
    for relation in proposal.relations:
        head, tail = (number[(e.start, e.end, e.type)] for e in (relation.head, relation.tail))
        yield RelationReview(head, tail, relation.type, relation.confidence)


def same_result(reviews: Sequence[PostReview]) -> bool:
    """Whether finished reviews of one post have the same final entities and relations."""
    results = {(spans(review), _triples(review)) for review in reviews}
    return len(results) <= 1


def spans(review: PostReview) -> frozenset[tuple[int, int, str]]:
    """Start, end and type of each final entity."""
    return frozenset((e.start, e.end, e.type) for e in review.final_entities)


def _triples(review: PostReview) -> frozenset[tuple[int, int, int, int, str]]:
    return frozenset(
        (r.head.start, r.head.end, r.tail.start, r.tail.end, r.type) for r in review.final_relations
    )


def _bare(entity: Entity) -> Entity:
    return Entity(entity.start, entity.end, entity.text, entity.type)


def _overlap(one: Entity, other: Entity) -> bool:
    return one.start < other.end and other.start < one.end


def _number(value: dict[str, Any], name: str) -> int | None:
    number = value.get(name)
    if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
        raise InputError(f"{name} is {number!r:.40}", expected="a whole number")
    return number
