"""From the entities of posts to the relations between them.

Of two entities whose types allow a relation, each order that they allow is read. A relation is told where it
is more probable than "None" in an order; where it is so in both, the more probable one. That is decided by
the network's own probabilities, so that calibration changes no relation, only how sure it is.

It does not know where the entities come from.

Shape letters: S pairs, K relations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twofold.inference.confidence import Judgement
from twofold.inference.modality_states import PostSources
from twofold.inference.relation_classifier import Pair, PairReading, RelationReader, Verdict, class_chances
from twofold.inference.type_constraints import PAIR_LIMIT
from twofold.inference.uncertainty import tell
from twofold.model_folder.config import NO_RELATION
from twofold.posts import Entity, PictureReport, Post, Relation
from twofold.preprocessing.entity_markers import Argument, word_span
from twofold.preprocessing.segmentation import Span

Floats = NDArray[np.float32]
Ends = tuple[Entity, Entity]
"""Head and tail."""


class EntityPost(NamedTuple):
    """A post whose entities are known.

    Attributes:
        post: the post.
        words: of its text.
        entities: in order of their start.
    """

    post: Post
    words: Sequence[Span]
    entities: Sequence[Entity]


class RelationJudge(Protocol):
    """Says how far relations can be trusted."""

    def judge(self, scores: NDArray[np.float64], found: Sequence[int]) -> list[Judgement]:
        """A judgement a pair.

        Args:
            scores: (S, K) of all relations; −∞ for those that did not compete.
            found: number of the relation that each pair is taken for.
        """


class SoftmaxAt:
    """Probabilities of a softmax at one temperature, and nothing else.

    Args:
        temperature: all scores are divided by it.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def judge(self, scores: NDArray[np.float64], found: Sequence[int]) -> list[Judgement]:
        """See `RelationJudge`."""
        chances = class_chances(scores, self._temperature)
        return [Judgement(float(row[i])) for row, i in zip(chances, found, strict=True)]


class Link(NamedTuple):
    """What a pair is taken for.

    Attributes:
        relation: as it is told.
        verdict: what it rests on; None where the pair could not be read.
    """

    relation: Relation
    verdict: Verdict | None


class Linked(NamedTuple):
    """What was found between the entities of a post.

    Attributes:
        links: in order of their heads, then of their tails.
        picture: what became of the picture; None where no pair wanted it looked at.
        warnings: remarks for the user.
    """

    links: tuple[Link, ...]
    picture: PictureReport | None = None
    warnings: tuple[str, ...] = ()

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The relations of the links."""
        return tuple(link.relation for link in self.links)


class Linker:
    """Relations among entities.

    Args:
        reader: the relation classifier.
        limit: pairs of a post that are read, at most; the nearest come first.
        judge: of what is found; None for the temperature of the reader's folder alone.
    """

    def __init__(
        self, reader: RelationReader, limit: int = PAIR_LIMIT, judge: RelationJudge | None = None
    ) -> None:
        self.reader = reader
        self._limit = limit
        self._judge = judge or SoftmaxAt(reader.folder.temperature)

    def link(
        self, posts: Sequence[EntityPost], batch_size: int, known: PostSources | None = None
    ) -> list[Linked]:
        """Relations of some posts.

        Args:
            posts: some hundreds at a time.
            batch_size: windows in a batch, at most.
            known: sources of the posts that were read already, just as the relation model would.
        """
        found = [self.reader.grammar.candidates(post.entities, self._limit) for post in posts]
        pairs = [
            [(post.entities[i], post.entities[j]) for i, j in row.pairs]
            for post, row in zip(posts, found, strict=True)
        ]
        linked = self.either_way(posts, pairs, batch_size, known)
        return [
            _in_order(post, row)._replace(warnings=self._warnings(len(few.pairs), few.possible))
            for post, row, few in zip(posts, linked, found, strict=True)
        ]

    def either_way(
        self,
        posts: Sequence[EntityPost],
        pairs: Sequence[Sequence[Ends]],
        batch_size: int,
        known: PostSources | None = None,
    ) -> list[Linked]:
        """What `link` would tell of given pairs, whichever end comes first in them; of the others nothing.

        A pair given twice, or both ways round, is one. Arguments as in `link`.
        """
        asked = [[ends for pair in _unordered(row) for ends in self._orders(*pair)] for row in pairs]
        judged = self._judged(posts, asked, batch_size, known, self.reader.judge_typed)
        return [Linked(self._links(_best(row)), _picture(row)) for row in judged]

    def classify(
        self,
        posts: Sequence[EntityPost],
        pairs: Sequence[Sequence[Ends]],
        batch_size: int,
        known: PostSources | None = None,
        guesses: bool = False,
    ) -> list[Linked]:
        """The most probable class of each given pair, "None" included, in the order given.

        A pair of which one end holds no word is "None" without a confidence. Arguments as in `link`, and
        ``guesses``: whether the types of the ends are guesses, which forbid nothing.
        """
        judge = self.reader.judge if guesses else self.reader.judge_typed
        judged = self._judged(posts, pairs, batch_size, known, judge)
        return [Linked(self._links(row), _picture(row)) for row in judged]

    def _orders(self, one: Entity, other: Entity) -> list[Ends]:
        if (one.start, one.end) == (other.start, other.end):
            return []  # given twice, under two types
        related = self.reader.grammar.related
        return [(a, b) for a, b in ((one, other), (other, one)) if related(a.type, b.type)]

    def _judged(
        self,
        posts: Sequence[EntityPost],
        asked: Sequence[Sequence[Ends]],
        batch_size: int,
        known: PostSources | None,
        judge: Callable[[Sequence[PairReading]], list[Verdict]],
    ) -> list[list[_Judged]]:
        """Each pair with what the model says of it."""
        pairs = [[_pair(post.words, ends) for ends in row] for post, row in zip(posts, asked, strict=True)]
        readable = [[pair for pair in row if pair is not None] for row in pairs]
        readings = self.reader.read([post.post for post in posts], readable, batch_size, known)
        result: list[list[_Judged]] = []
        for ends, row, read in zip(asked, pairs, readings, strict=True):
            said = iter(zip(read, judge(read), strict=True))
            result.append(
                [_Judged(e, *next(said)) if p else _Judged(e) for e, p in zip(ends, row, strict=True)]
            )
        return result

    def _links(self, items: Sequence[_Judged]) -> tuple[Link, ...]:
        said = iter(self._judgements([item.verdict for item in items if item.verdict is not None]))
        return tuple(Link(self._relation(item, said), item.verdict) for item in items)

    def _judgements(self, verdicts: Sequence[Verdict]) -> list[Judgement]:
        if not verdicts:
            return []
        judged = self._judge.judge(np.stack([v.scores for v in verdicts]), [v.number for v in verdicts])
        return [  # limits and sets are of relations; of none there is its probability only
            Judgement(said.confidence) if verdict.label == NO_RELATION else said
            for verdict, said in zip(verdicts, judged, strict=True)
        ]

    def _relation(self, item: _Judged, judgements: Iterator[Judgement]) -> Relation:
        reading, verdict = item.reading, item.verdict
        if reading is None or verdict is None:
            return Relation(*item.ends, NO_RELATION)

        def one_place(values: Floats | None) -> Floats | None:
            return None if values is None else values[..., np.newaxis, :]

        share = None if reading.share is None else reading.share[:, [verdict.number]]
        parts = one_place(reading.evidence), one_place(reading.fused), share
        uncertainty, sources = tell(self.reader.folder.config.sources, reading.sources, parts)
        said = next(judgements)
        return Relation(
            *item.ends,
            verdict.label,
            said.confidence,
            uncertainty,
            sources,
            review=said.review,
            candidates=said.candidates,
        )

    def _warnings(self, read: int, possible: int) -> tuple[str, ...]:
        if read == possible:
            return ()
        return (f"relations were looked for between the {read} nearest of {possible:,} pairs of entities",)


class _Judged(NamedTuple):
    ends: Ends
    reading: PairReading | None = None
    verdict: Verdict | None = None

    @property
    def relation(self) -> float:
        """Probability of the relation; 0 where "None" is the most probable."""
        if self.verdict is None or self.verdict.label == NO_RELATION:
            return 0.0
        return self.verdict.chance


def _unordered(pairs: Sequence[Ends]) -> list[Ends]:
    return list({frozenset((e.start, e.end, e.type) for e in pair): pair for pair in pairs}.values())


def _best(judged: Sequence[_Judged]) -> list[_Judged]:
    """Relations that are more probable than none, one a pair of entities at most."""
    best: dict[frozenset[int], _Judged] = {}
    for item in judged:
        pair = frozenset(id(end) for end in item.ends)
        if item.relation > (best[pair].relation if pair in best else 0.0):
            best[pair] = item
    return list(best.values())


def _in_order(post: EntityPost, linked: Linked) -> Linked:
    place = {id(entity): i for i, entity in enumerate(post.entities)}

    def ends(link: Link) -> tuple[int, int]:
        return place[id(link.relation.head)], place[id(link.relation.tail)]

    return linked._replace(links=tuple(sorted(linked.links, key=ends)))


def _pair(words: Sequence[Span], ends: Ends) -> Pair | None:
    head, tail = (word_span(words, end.start, end.end) for end in ends)
    if head is None or tail is None:
        return None
    return Argument(*head, ends[0].type), Argument(*tail, ends[1].type)


def _picture(judged: Sequence[_Judged]) -> PictureReport | None:
    return next((item.reading.picture for item in judged if item.reading is not None), None)
