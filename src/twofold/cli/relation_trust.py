"""Trust in relations for ``twofold evaluate --trust``: between given ends as in use, and end to end.

Where both ends of each annotated pair are given, and nobody says which is the head, relations are told as in
use: this is what `twofold calibrate` fits. End to end the model has the bare post; what it tells of a pair
that nothing was annotated of cannot be judged, unless a post carries gold entities, too: then pairs that it
says nothing of are taken to stand in no relation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twofold.console.trust import trust_lines
from twofold.evaluation.predictions import PredictionCollector
from twofold.evaluation.trust_report import ALL, TrustReport, plain, trust_report
from twofold.posts import Extraction, Post

if TYPE_CHECKING:
    from twofold.pipeline import Extractor

_TOGETHER = 256  # posts that wait to be read at once


class RelationTrust:
    """Gathers what is told of posts with gold relations.

    Args:
        args: of the command; gathers nothing without ``--trust``.
        extractor: the model.
    """

    def __init__(self, args: argparse.Namespace, extractor: Extractor) -> None:
        self._extractor, self._batch_size = extractor, args.batch_size
        self._wanted = args.trust and bool(extractor.relations)
        self._waiting: list[Post] = []
        self._either_way = PredictionCollector()
        self._end_to_end = PredictionCollector() if extractor.types else None
        self._posts = self._not_judged = 0

    def add(self, post: Post, extraction: Extraction) -> None:
        """Take in one post with gold relations, and what was found in it."""
        if not self._wanted:
            return
        self._posts += 1
        if self._end_to_end is not None:
            gold, complete = post.relations or (), post.entities is not None
            self._not_judged += self._end_to_end.add_triples(
                extraction.relations, gold, complete=complete, symmetric=self._extractor.symmetric
            )
        self._waiting.append(post)
        if len(self._waiting) == _TOGETHER:
            self._read()

    def record(self) -> dict[str, Any]:
        """For a file."""
        told = {name: plain(report) for name, _, report in self._reports}
        if "relations_end_to_end" in told:
            told["relations_end_to_end"]["not_judged"] = self._not_judged
        return told

    def reports(self) -> dict[str, TrustReport]:
        """By what they are of, in words."""
        return {what: report for _, what, report in self._reports}

    def lines(self) -> Iterator[str]:
        """For a person to read."""
        for name, what, report in self._reports:
            yield from trust_lines(report, what, [ALL])
            if name == "relations_end_to_end" and self._not_judged:
                yield f"not judged, for nothing was annotated of the pair: {self._not_judged} more"
            yield ""

    @cached_property
    def _reports(self) -> list[tuple[str, str, TrustReport]]:
        """Key, what it is of, report; made once, when everything was added."""
        if not self._posts:
            return []
        self._read()
        of_ends = trust_report(self._either_way.predictions())
        told = [("relations_either_way", "relations between given ends", of_ends)]
        if self._end_to_end is not None:
            whole = trust_report(self._end_to_end.predictions())
            told.append(("relations_end_to_end", "relations end to end", whole))
        return told

    def _read(self) -> None:
        posts, self._waiting = self._waiting, []
        found = self._extractor.either_way(posts, batch_size=self._batch_size)
        for post, linked in zip(posts, found, strict=True):
            before = [link.verdict.chance for link in linked.links if link.verdict is not None]
            self._either_way.add_triples(
                linked.relations,
                post.relations or (),
                complete=True,
                symmetric=self._extractor.symmetric,
                before=before,
            )
