"""Where steps run: in this process, or in several, each with its own model on one thread.

Parts come in the order of their shards. At most three shards per process are in memory at a time, so that
memory does not grow with the input. A process that dies (a fault in a decoder, or killed for its memory) is
restarted. A row on which a process dies twice is rejected; the other rows of its shard are extracted.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from twofold.batch.shards import Shard
from twofold.batch.step import Part, Step
from twofold.errors import ModelError
from twofold.pipeline.extractor import Extractor
from twofold.posts import Post, Rejected

_MAX_SHARDS = 3
"""Largest number of shards per process in memory, finished or not."""
_MAX_DEATHS = 2
"""How often a process may die on one shard before its rows are tried one by one."""


def run_here(step: Step, extractor: Extractor, shards: Iterable[Shard]) -> Iterator[Part]:
    """The parts of shards, extracted in this process."""
    return (step.run(extractor, shard) for shard in shards)


def run_in_processes(
    step: Step, extractor: Extractor, shards: Iterable[Shard], processes: int
) -> Generator[Part, None, None]:
    """The parts of shards, in order, extracted in processes that end with this one.

    Args:
        step: how a shard is extracted.
        extractor: is sent to each process, which loads the model.
        shards: are consumed as processes become free.
        processes: number of processes.

    Raises:
        ModelError: a process cannot load the model.
    """
    workers = [_Worker(step, extractor) for _ in range(processes)]
    try:
        for worker in workers:
            worker.check()
        yield from _Dispatch(workers).run(iter(shards))
    finally:
        for worker in workers:
            worker.stop()


class ResidentWorker:
    """One long-lived process for shards that come one by one; it is restarted when it dies.

    Args:
        step: how a shard is extracted. extractor: is sent to the process.

    Raises:
        ModelError: the process cannot load the model.
    """

    def __init__(self, step: Step, extractor: Extractor) -> None:
        self._worker = _Worker(step, extractor)
        self._worker.check()

    def run(self, shard: Shard) -> Part:
        """The part of one shard."""
        return next(_Dispatch([self._worker]).run(iter([shard])))


@dataclass(eq=False)
class _Task:
    shard: Shard
    worker: _Worker
    future: Future[Part]
    deaths: int = 0


class _Dispatch:
    """Distributes shards over workers, and yields their parts in order."""

    def __init__(self, workers: list[_Worker]) -> None:
        self._workers = workers
        self._tasks: deque[_Task] = deque()

    def run(self, shards: Iterator[Shard]) -> Iterator[Part]:
        more = True
        while more or self._tasks:
            while more and len(self._tasks) < _MAX_SHARDS * len(self._workers):
                shard = next(shards, None)
                more = shard is not None
                if shard is not None:
                    worker = min(self._workers, key=self._unfinished)
                    self._tasks.append(_Task(shard, worker, worker.submit(shard)))
            self._restart_dead()
            if not self._tasks:
                continue
            first = self._tasks[0].future
            if not first.done():
                wait(
                    [task.future for task in self._tasks if not task.future.done()],
                    return_when=FIRST_COMPLETED,
                )
            elif not _died(first):  # of one that died since, the process is restarted in the next round
                yield self._tasks.popleft().future.result()

    def _unfinished(self, worker: _Worker) -> int:
        return sum(task.worker is worker and not task.future.done() for task in self._tasks)

    def _restart_dead(self) -> None:
        """Restart processes that died, and submit their shards again; each died on its first one.

        The futures of a process fail one after the other, so those that have not yet failed are lost, too.
        """
        for worker in self._workers:
            own = [task for task in self._tasks if task.worker is worker]
            if not any(_died(task.future) for task in own):
                continue
            lost = [task for task in own if not task.future.done() or _died(task.future)]
            worker.restart()
            lost[0].deaths += 1
            if lost[0].deaths >= _MAX_DEATHS:
                lost[0].shard = worker.without_deadly_rows(lost[0].shard)
                lost[0].deaths = 0
            for task in lost:
                task.future = worker.submit(task.shard)


def _died(future: Future[Part]) -> bool:
    return future.done() and (future.cancelled() or isinstance(future.exception(), BrokenProcessPool))


class _Worker:
    """One process, in a pool of one, so that it is known which shard it died on."""

    def __init__(self, step: Step, extractor: Extractor) -> None:
        self._step, self._extractor = step, extractor
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),  # a fork would copy locks of other threads
            initializer=_begin,
            initargs=(self._step, self._extractor),
        )

    def check(self) -> None:
        """Wait until the process is ready.

        Raises:
            ModelError: it died while loading the model.
        """
        try:
            self._pool.submit(_ready).result()
        except BrokenProcessPool as error:
            raise ModelError(
                "a worker process ended before it had loaded the model",
                expected="enough memory for one model per process",
                do="use fewer --workers; without --workers, the command reports what is wrong",
            ) from error

    def submit(self, shard: Shard) -> Future[Part]:
        """Extract a shard in the process; if it is already dead, the future raises that error."""
        try:
            return self._pool.submit(_extract, shard)
        except BrokenProcessPool as error:
            future: Future[Part] = Future()
            future.set_exception(error)
            return future

    def restart(self) -> None:
        """Replace a dead process by a new one. Raises the errors of `check`."""
        self.stop()
        self._pool = self._start()
        self.check()

    def stop(self) -> None:
        """End the process without waiting for its work."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()

    def without_deadly_rows(self, shard: Shard) -> Shard:
        """The shard, with those rows rejected that kill the process on their own."""
        items: list[Post | Rejected] = []
        for item in shard.items:
            alone = dataclasses.replace(shard, items=(item,))
            if isinstance(item, Post) and _died(_finished(self.submit(alone))):
                self.restart()
                items.append(_rejected(item))
            else:
                items.append(item)
        return dataclasses.replace(shard, items=tuple(items))


def _finished(future: Future[Part]) -> Future[Part]:
    wait([future])
    return future


def _rejected(post: Post) -> Rejected:
    reason = (
        "the process that read it died: a fault in a decoder, or not enough memory; expected a post that can "
        "be read; check its picture, or run with fewer --workers"
    )
    return Rejected(post.origin, reason, str({"id": post.id, "text": post.text})[:1000])


# --- in the processes --------------------------------------------------------------------------------

_working: list[tuple[Step, Extractor]] = []
"""The step and extractor that a worker process was started with."""


def _begin(step: Step, extractor: Extractor) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process handles it, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _working.append((step, extractor))


def _end_with_parent() -> None:
    """End this process when the first one has been killed, since nothing would read its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ready() -> bool:
    return bool(_working)


def _extract(shard: Shard) -> Part:
    step, extractor = _working[0]
    return step.run(extractor, shard)
