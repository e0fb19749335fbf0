"""The posts that need a person's eye most, chosen from a stream of any length in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from twofold.posts import Extraction, Post
from twofold.report.post_view import PostView, lowest_confidence, view
from twofold.report.summary import Summary


class LeastConfidentPosts:
    """At most ``limit`` posts, least sure first.

    Posts with entities come before posts without, and of those the ones whose picture could not be read
    come first; equal ones keep the order of the stream. Pictures are read as posts enter the list, so
    that no picture needs to be kept.

    Args:
        limit: posts to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[float, int], PostView]] = []  # the surest on top

    def fill(self, extractions: Iterable[tuple[Post, Extraction]], summary: Summary) -> None:
        """Take in a stream; every post is counted, the limit's worth is kept."""
        for order, (post, extraction) in enumerate(extractions, start=1):
            summary.add(extraction)
            rank = (-_calm(extraction), -order)
            if len(self._heap) < self._limit:
                heapq.heappush(self._heap, (rank, view(order, post, extraction)))
            elif self._heap and rank > self._heap[0][0]:
                heapq.heapreplace(self._heap, (rank, view(order, post, extraction)))

    def posts(self) -> list[PostView]:
        """Those kept, least sure first."""
        return [post for _, post in sorted(self._heap, key=lambda item: item[0], reverse=True)]


def _calm(extraction: Extraction) -> float:
    """Low for what needs an eye: the lowest confidence, or something above 1 without any."""
    confidence = lowest_confidence(extraction)
    if confidence is not None:
        return confidence
    return 2.0 if extraction.picture.status == "unreadable" else 3.0
