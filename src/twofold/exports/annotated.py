"""Posts with annotations, the input of the exports: results of `twofold extract`, or gold labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from twofold.posts import Extraction, PictureReport, Post, Rejected
from twofold.review.results import read_results


class Annotated(NamedTuple):
    """A post to export.

    Attributes:
        post: its entities and relations are those to export, predicted or gold.
        record: the result with them, as in a line of JSON; None for gold labels.
    """

    post: Post
    record: dict[str, Any] | None = None

    def with_confidence(self, minimum: float) -> Annotated:
        """The same without entities and relations of lower confidence; see `Extraction.with_confidence`."""
        post = self.post
        extraction = Extraction(
            post.id, post.text, post.entities or (), PictureReport("none"), "", relations=post.relations or ()
        ).with_confidence(minimum)
        kept = dataclasses.replace(
            post,
            entities=None if post.entities is None else extraction.entities,
            relations=None if post.relations is None else extraction.relations,
        )
        return Annotated(kept, self.record and _without(self.record, minimum))


def _without(record: dict[str, Any], minimum: float) -> dict[str, Any]:
    """The line of results without entities and relations of lower confidence."""
    entities = record["entities"]
    kept = [i for i, entity in enumerate(entities) if _confidence(entity) >= minimum]
    index = {old: new for new, old in enumerate(kept)}
    relations = [
        relation | {"head": index[relation["head"]], "tail": index[relation["tail"]]}
        for relation in record.get("relations") or ()
        if _confidence(relation) >= minimum and {relation["head"], relation["tail"]} <= index.keys()
    ]
    return record | {"entities": [entities[i] for i in kept], "relations": relations}


def _confidence(item: dict[str, Any]) -> float:
    """The confidence of an item; 1 for gold labels, which have none and are kept."""
    confidence = item.get("confidence")
    return 1.0 if confidence is None else float(confidence)


def annotated_results(path: Path, posts: Iterable[Post | Rejected] | None) -> Iterator[Annotated]:
    """Results with their posts; see `read_results`."""
    for record, proposal, post in read_results(path, posts):
        given = post or Post(proposal.id, proposal.text)
        found = dataclasses.replace(given, entities=proposal.entities, relations=proposal.relations)
        yield Annotated(found, record)


def annotated_gold(posts: Iterable[Post | Rejected]) -> Iterator[Annotated | Rejected]:
    """Labelled posts."""
    for post in posts:
        yield post if isinstance(post, Rejected) else Annotated(post)
