"""Posts of all requests in one queue, taken from it in batches.

A post waits for others at most a few milliseconds, and only while a thread is free to run it; just after a
batch somewhat longer, since clients that have their answer send the next request. The queue is bounded, and
what does not fit is refused at once. Posts with other options never share a batch. What nobody waits for any
more is not run. It knows neither HTTP nor models.
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
"""Weight of the last batch in the seconds a post takes."""
_PATIENCE = 0.05
"""After a batch the next one waits for so large a part of its seconds.

Without it, 64 clients that each wait for their answer fall into a small group and a large one, whose batches
take turns; small batches cost more processor time a post.
"""


class QueueFullError(Exception):
    """The queue is full; ``wait`` seconds until about so many items will have left it."""

    def __init__(self, wait: float) -> None:
        super().__init__("the queue is full")
        self.wait = wait


class BatchListener(Protocol):
    """Hears of batches, for metrics."""

    def ran(self, size: int, waited: Sequence[float], seconds: float) -> None:
        """A batch of ``size`` items ran for ``seconds``; each had waited so long before."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    """One item in the queue; ``item`` is dropped when nobody waits for its result any more."""

    item: Item | None
    size: int
    future: asyncio.Future[Result]
    since: float


class Batcher(Generic[Key, Item, Result]):
    """A queue that runs in batches; to be used in one event loop.

    Args:
        run: gives a result for each of some items with the same key, in any thread.
        size_of: size of an item, which bounds a batch.
        listener: hears of each batch.
        batch: items of a batch, at most.
        batch_total: sum of sizes above which a batch takes no further item.
        wait: seconds that an item waits for others, where a thread is free and no batch has just ended.
        queue: items that wait, at most.
        runners: batches that run at one time.
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
        """Items in the queue that somebody waits for."""
        self.running = 0
        """Items in batches that run."""

    def start(self) -> None:
        """Begin to take items from the queue."""
        self._dispatcher = asyncio.get_running_loop().create_task(self._dispatch())

    async def close(self) -> None:
        """Run what is in the queue, and end."""
        while self.waiting or self._running:
            await asyncio.sleep(0.01)
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            await asyncio.gather(self._dispatcher, return_exceptions=True)
        self._pool.shutdown()

    def seconds_until(self, more: int = 0) -> float:
        """Seconds after which so many items, put into the queue now, would have run; 0 where unknown."""
        return (self.waiting + self.running + more) * self._seconds_each / self._runners

    def submit(self, key: Key, items: Sequence[Item]) -> list[asyncio.Future[Result]]:
        """Put items into the queue, all or none; a future whose result nobody needs should be cancelled.

        Raises:
            QueueFullError: they do not all fit.
        """
        over = self.waiting + len(items) - self._limit
        if over > 0:
            raise QueueFullError(over * self._seconds_each / self._runners)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        queue = self._queues.setdefault(key, deque())
        futures = []
        for item in items:
            waiting = _Waiting[Item, Result](item, self._size_of(item), loop.create_future(), now)
            waiting.future.add_done_callback(partial(self._leave, waiting))
            queue.append(waiting)
            futures.append(waiting.future)
        self.waiting += len(items)
        self._arrived.set()
        return futures

    def _leave(self, waiting: _Waiting[Item, Result], _: asyncio.Future[Result]) -> None:
        """Forget an item that was cancelled in the queue."""
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
        """Results of a batch; where it fails, each item runs alone, so that one does not spoil the others."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._run, key, items)
        except Exception as error:
            _LOG.exception("a batch of %d posts failed", len(items))
            if len(items) == 1:
                return [error]
        return [result for item in items for result in await self._results(key, [item])]
