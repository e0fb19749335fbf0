"""Answers a request: queues its posts, keeps its deadline, stops when the client disconnects."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from starlette.requests import ClientDisconnect, Request

from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Extraction, Post
from twofold.records import to_line
from twofold.server.batcher import Batcher, QueueFullError
from twofold.server.errors import ApiError, busy, internal, too_late
from twofold.server.metrics import Metrics
from twofold.server.posts_in import Problem

T = TypeVar("T")
PostBatcher = Batcher[InferencePipeline, Post, Extraction]


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the answer to a request is due.

    Attributes:
        seconds: from the arrival of the request to the deadline.
        at: the deadline on the monotonic clock.
    """

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """A deadline in this many seconds."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.at - time.monotonic())

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Await a result; cancel it at the deadline.

        Raises:
            ApiError: the deadline has passed.
        """
        try:
            return await asyncio.wait_for(awaitable, self.left)
        except asyncio.TimeoutError as error:
            raise too_late(self.seconds) from error


class _Pending(NamedTuple):
    """A queued post: its ID and the future of its result."""

    id: str | int
    future: asyncio.Future[Extraction]


class Answers:
    """Results of one request, in the order of its posts.

    Args:
        batcher: runs the posts.
        model: under the options of the request.
        items: posts, and problems in the place of invalid ones.
        deadline: of the request.
        metrics: count the answers sent.
        min_confidence: leave out entities and relations below it; None to keep all.

    Raises:
        ApiError: the posts do not fit into the queue, or cannot be done by the deadline.
    """

    def __init__(
        self,
        batcher: PostBatcher,
        model: InferencePipeline,
        items: Sequence[Post | Problem],
        deadline: Deadline,
        metrics: Metrics,
        min_confidence: float | None,
    ) -> None:
        self._deadline, self._metrics, self._minimum = deadline, metrics, min_confidence
        posts = [item for item in items if isinstance(item, Post)]
        if (wait := batcher.seconds_until(len(posts))) > deadline.left:
            raise busy(f"posts wait about {wait:.0f} seconds, past the deadline of the request", wait)
        try:
            futures = iter(batcher.submit(model, posts))
        except QueueFullError as error:
            raise busy("the queue of posts is full", error.wait) from error
        self._items: list[_Pending | Problem] = [
            item if isinstance(item, Problem) else _Pending(item.id, next(futures)) for item in items
        ]

    def cancel(self) -> None:
        """Cancel the posts that have not run."""
        for item in self._items:
            if isinstance(item, _Pending):
                item.future.cancel()

    async def one(self) -> str:
        """The result of the only post.

        Raises:
            ApiError: the post has no result.
        """
        (item,) = self._items
        if isinstance(item, Problem):
            raise item.error
        return self._line(await self._deadline.wait_for(item.future))

    async def all(self) -> str:
        """All results as one object of JSON; a post without a result has an error in its place."""
        futures = [item.future for item in self._items if isinstance(item, _Pending)]
        if futures:
            await self._deadline.wait_for(asyncio.wait(futures))
        lines = [await self._line_of(item) for item in self._items]
        return f'{{"results": [{", ".join(lines)}]}}'

    async def stream(self) -> AsyncIterator[bytes]:
        """A line for each post, as soon as it and those before it are done."""
        for item in self._items:
            yield (await self._line_of(item)).encode() + b"\n"

    async def _line_of(self, item: _Pending | Problem) -> str:
        if isinstance(item, Problem):
            return self._problem(item)
        try:
            return self._line(await self._deadline.wait_for(item.future))
        except ApiError as error:
            return self._problem(Problem(item.id, error))
        except Exception:  # the batcher has logged it
            return self._problem(Problem(item.id, internal()))

    def _line(self, extraction: Extraction) -> str:
        if self._minimum is not None:
            extraction = extraction.with_confidence(self._minimum)
        self._metrics.answered(extraction)
        return to_line(extraction)

    def _problem(self, problem: Problem) -> str:
        self._metrics.problems.labels(problem.error.code).inc()
        record: dict[str, Any] = {} if problem.id is None else {"id": problem.id}
        return json.dumps(record | {"error": problem.error.record()}, ensure_ascii=False)


async def unless_disconnected(request: Request, awaitable: Awaitable[T]) -> T:
    """Await a result; cancel it if the client disconnects. The body must have been read.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    work = asyncio.ensure_future(awaitable)
    disconnected = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({work, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        for task in (work, disconnected):
            task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
