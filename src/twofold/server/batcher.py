"""One queue for the posts of all requests, which run in batches.

While a thread is free, a post waits at most a few milliseconds for others to share its batch; just after a
batch it waits somewhat longer, since clients that have their answer send the next request. The queue is
bounded, and posts that do not fit are refused at once. Posts with different options never share a batch.
Cancelled posts are not run. The module depends neither on HTTP nor on models.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger("twofold.server")
_SMOOTHING = 0.2
"""Weight of the last batch in the moving average of seconds per post."""
_PATIENCE = 0.05
"""After a batch, the next one waits for this fraction of the seconds that it took.

Without it, 64 clients that each wait for their answer split into a small group and a large one, whose batches
alternate; small batches take more processor time per post.
"""


class QueueFullError(Exception):
    """The queue is full; after about ``wait`` seconds the items would fit."""

    def __init__(self, wait: float) -> None:
        super().__init__("the queue is full")
        self.wait = wait


class BatchListener(Protocol):
    """Is notified of batches, for metrics."""

    def ran(self, size: int, waited: Sequence[float], seconds: float) -> None:
        """A batch of ``size`` items ran for ``seconds``; ``waited`` has the seconds each had waited."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    """One item in the queue; ``item`` is None once it is cancelled or its batch runs."""

    item: Item | None
    size: int
    future: asyncio.Future[Result]
    since: float


class Batcher(Generic[Key, Item, Result]):
    """A queue whose items run in batches; for use in one event loop.

    Args:
        run: returns a result for each of several items with the same key; called in any thread.
        size_of: returns the size of an item, for ``batch_total``.
        listener: is notified of each batch.
        batch: maximum number of items in a batch.
        batch_total: sum of sizes at which a batch takes no further item.
        wait: seconds that an item waits for others, where a thread is free and no batch has just ended.
        queue: maximum number of items that wait.
        runners: batches that run at the same time.
    """

    def __init__(
        self,
        run: Callable[[Key, Sequence[Item]], Sequence[Result]],
        size_of: Callable[[Item], int],
        listener: BatchListener,
        *,
        batch: int,
        batch_total: int,
        wait: float,
        queue: int,
        runners: int,
    ) -> None:
        self._run, self._size_of, self._listener = run, size_of, listener
        self._batch, self._batch_total, self._wait, self._limit = batch, batch_total, wait, queue
        self._runners = runners
        self._queues: dict[Key, deque[_Waiting[Item, Result]]] = {}
        self._arrived = asyncio.Event()
        self._pool = ThreadPoolExecutor(runners, "twofold-batch")
        self._free = asyncio.Semaphore(runners)
        self._running: set[asyncio.Task[None]] = set()
        self._seconds_each = 0.0
        self._patient_until = 0.0
        self._dispatcher: asyncio.Task[None] | None = None
        self.waiting = 0
        """Items in the queue that are not cancelled."""
        self.running = 0
        """Items in running batches."""

    def start(self) -> None:
        """Begin to take items from the queue."""
        self._dispatcher = asyncio.get_running_loop().create_task(self._dispatch())

    async def close(self) -> None:
        """Run what is in the queue, then stop."""
        while self.waiting or self._running:
            await asyncio.sleep(0.01)
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.gather(self._dispatcher, return_exceptions=True)
        self._pool.shutdown()

    def seconds_until(self, more: int = 0) -> float:
        """Estimated seconds until ``more`` items, put into the queue now, have run; 0 where unknown."""
        return (self.waiting + self.running + more) * self._seconds_each / self._runners

    def submit(self, key: Key, items: Sequence[Item]) -> list[asyncio.Future[Result]]:
        """Put items into the queue, all or none; cancel a future whose result is no longer needed.

        Raises:
            QueueFullError: the items do not all fit.
        """
        over = self.waiting + len(items) - self._limit
        if over > 0:
            raise QueueFullError(over * self._seconds_each / self._runners)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        queue = self._queues.setdefault(key, deque())
        futures = []
        for item in items:
            waiting = _Waiting[Item, Result](item, self._size_of(item), loop.create_future(), now)
            waiting.future.add_done_callback(partial(self._drop_cancelled, waiting))
            queue.append(waiting)
            futures.append(waiting.future)
        self.waiting += len(items)
        self._arrived.set()
        return futures

    def _drop_cancelled(self, waiting: _Waiting[Item, Result], _: asyncio.Future[Result]) -> None:
        """Drop an item that was cancelled in the queue."""
        if waiting.item is not None:
            waiting.item = None
            self.waiting -= 1

    async def _dispatch(self) -> None:
        while True:
            await self._free.acquire()
            try:
                key, since = await self._oldest()
                until = max(since + self._wait, self._patient_until)
                while (left := until - time.monotonic()) > 0 and not self._full(key):
                    self._arrived.clear()
                    try:
                        await asyncio.wait_for(self._arrived.wait(), left)
                    except asyncio.TimeoutError:
                        break
                batch = self._take(key)
            except BaseException:
                self._free.release()
                raise
            task = asyncio.get_running_loop().create_task(self._process(key, batch))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a batch was lost", exc_info=error)

    async def _oldest(self) -> tuple[Key, float]:
        """The key of the item that has waited longest, and since when; waits until there is one."""
        while True:
            for key in list(self._queues):
                queue = self._queues[key]
                while queue and queue[0].item is None:
                    queue.popleft()
                if not queue:
                    del self._queues[key]
            if self._queues:
                key = min(self._queues, key=lambda key: self._queues[key][0].since)
                return key, self._queues[key][0].since
            self._arrived.clear()
            await self._arrived.wait()

    def _full(self, key: Key) -> bool:
        total = 0
        for count, waiting in enumerate(self._alive(key), 1):
            total += waiting.size
            if count >= self._batch or total >= self._batch_total:
                return True
        return False

    def _alive(self, key: Key) -> Iterator[_Waiting[Item, Result]]:
        return (waiting for waiting in self._queues.get(key, ()) if waiting.item is not None)

    def _take(self, key: Key) -> list[_Waiting[Item, Result]]:
        queue = self._queues.get(key, deque())
        batch: list[_Waiting[Item, Result]] = []
        total = 0
        while queue and len(batch) < self._batch and total < self._batch_total:
            waiting = queue.popleft()
            if waiting.item is not None:
                batch.append(waiting)
                total += waiting.size
        if not queue:
            self._queues.pop(key, None)
        return batch

    async def _process(self, key: Key, batch: Sequence[_Waiting[Item, Result]]) -> None:
        batch = [waiting for waiting in batch if waiting.item is not None]  # some may have been cancelled
        items = [waiting.item for waiting in batch if waiting.item is not None]
        if not items:
            return
        begin = time.monotonic()
        self.waiting -= len(batch)
        for waiting in batch:
            waiting.item = None  # it has left the queue: a cancellation from now on changes nothing
        self.running += len(batch)
        try:
            results = await self._results(key, items)
        finally:
            self.running -= len(batch)
        end = time.monotonic()
        seconds = end - begin
        self._patient_until = end + _PATIENCE * seconds
        each = seconds / len(batch)
        self._seconds_each += (each - self._seconds_each) * (_SMOOTHING if self._seconds_each else 1.0)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, BaseException):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)
        self._listener.ran(len(batch), [begin - waiting.since for waiting in batch], seconds)

    async def _results(self, key: Key, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """Results of a batch; if it fails, each item runs alone, so that one failure affects no other."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._run, key, items)
        except Exception as error:
            _LOG.exception("a batch of %d posts failed", len(items))
            if len(items) == 1:
                return [error]
        return [result for item in items for result in await self._results(key, [item])]
