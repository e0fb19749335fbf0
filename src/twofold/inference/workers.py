"""Threads that run batches: each batch on one thread, several at a time, results in order.

A batch on one thread needs no synchronisation inside its graph, and its result is the same for any number of
threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A bounded number of threads.

    Args:
        count: threads; None for as many as there are cores. With one, everything runs in the caller's
            thread.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or os.cpu_count() or 1
        self._process = 0  # id of the process that has the threads: a fork does not have them

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 2
    ) -> Iterator[Result]:
        """Results in the order of the items; an error of ``items`` is raised after the results before it.

        Args:
            function: called in any thread.
            items: consumed in the caller's thread, at most ``ahead`` for each thread ahead of the results.
            ahead: items for each thread.
        """
        if self.count == 1:
            yield from map(function, items)
            return
        waiting: deque[Future[Result]] = deque()
        iterator, error = iter(items), None
        try:
            while error is None:
                if len(waiting) == ahead * self.count:
                    yield waiting.popleft().result()
                try:
                    waiting.append(self._threads().submit(function, next(iterator)))
                except Exception as raised:
                    error = raised
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
        if not isinstance(error, StopIteration):
            raise error

    def _threads(self) -> ThreadPoolExecutor:
        if self._process != os.getpid():
            self._process, self._pool = os.getpid(), ThreadPoolExecutor(self.count)
        return self._pool
