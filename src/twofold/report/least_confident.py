"""The posts of lowest confidence, chosen from a stream of any length in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from twofold.posts import Extraction, Post
from twofold.report.post_view import PostView, lowest_confidence, view_post
from twofold.report.summary import Summary


class LeastConfidentPosts:
    """At most ``limit`` posts, lowest confidence first.

    Posts with a confidence come before posts without, and among the latter those with an unreadable picture
    come first; ties keep the order of the stream. Pictures are read as posts enter the list, so that no
    picture needs to be kept.

    Args:
        limit: posts to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[tuple[float, int], PostView]] = []  # the most confident post first

    def collect(self, extractions: Iterable[tuple[Post, Extraction]], summary: Summary) -> None:
        """Consume a stream: count every post, keep the least confident ones."""
        for number, (post, extraction) in enumerate(extractions, start=1):
            summary.add(extraction)
            priority = (-_sort_key(extraction), -number)
            if len(self._heap) < self._limit:
                heapq.heappush(self._heap, (priority, view_post(number, post, extraction)))
            elif self._heap and priority > self._heap[0][0]:
                heapq.heapreplace(self._heap, (priority, view_post(number, post, extraction)))

    def posts(self) -> list[PostView]:
        """The kept posts, least confident first."""
        return [post for _, post in sorted(self._heap, key=lambda item: item[0], reverse=True)]


def _sort_key(extraction: Extraction) -> float:
    """The lowest confidence of the post; without one, 2 for an unreadable picture and 3 for the others."""
    confidence = lowest_confidence(extraction)
    if confidence is not None:
        return confidence
    return 2.0 if extraction.picture.status == "unreadable" else 3.0
