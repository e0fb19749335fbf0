"""The queue: batches across requests, limited waiting, cancellation, and isolated failures."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from twofold.server.batcher import Batcher, QueueFullError


class Runs:
    """A function that doubles numbers and records its batches; it waits while ``gate`` is closed."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reported: list[tuple[int, Sequence[float]]] = []

    def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.batches.append((key, list(items)))
        assert self.gate.wait(10)
        if any(item < 0 for item in items):
            raise ValueError("a negative number")
        return [2 * item for item in items]

    def ran(self, size: int, waited: Sequence[float], seconds: float) -> None:
        self.reported.append((size, waited))


def with_batcher(test, runs: Runs, **changed):
    settings = {"batch": 4, "batch_total": 1000, "wait": 0.05, "queue": 20, "runners": 1} | changed

    async def run():
        batcher = Batcher(runs, lambda item: 10 * abs(item), runs, **settings)
        batcher.start()
        try:
            await asyncio.wait_for(test(batcher), 20)
        finally:
            runs.gate.set()
            await batcher.close()
        assert batcher.waiting == batcher.running == 0

    asyncio.run(run())


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_items_of_several_callers_share_a_batch_within_the_waiting_time():
    runs = Runs()

    async def test(batcher):
        begin = time.monotonic()
        futures = [batcher.submit("a", [i])[0] for i in range(3)]
        assert await asyncio.gather(*futures) == [0, 2, 4]
        assert time.monotonic() - begin >= 0.05
        assert runs.batches == [("a", [0, 1, 2])]

    with_batcher(test, runs)
    ((size, waited),) = runs.reported
    assert size == 3
    assert all(0.04 < seconds < 5 for seconds in waited)


def test_after_a_batch_the_next_waits_for_clients_with_results():
    runs = Runs()
    runs.gate.clear()

    async def test(batcher):
        (first,) = batcher.submit("a", [1])
        await until(lambda: batcher.running == 1)
        (second,) = batcher.submit("a", [2])
        await asyncio.sleep(0.4)  # of which a twentieth is 20 ms
        runs.gate.set()
        await first
        for _ in range(9):  # some turns of the loop, as it takes to answer and to read the next request
            await asyncio.sleep(0)
        await asyncio.gather(second, *batcher.submit("a", [3]))

    with_batcher(test, runs, wait=0)
    assert runs.batches == [("a", [1]), ("a", [2, 3])]


def test_a_full_batch_does_not_wait():
    runs = Runs()

    async def test(batcher):
        assert await asyncio.gather(*batcher.submit("a", range(4))) == [0, 2, 4, 6]

    begin = time.monotonic()
    with_batcher(test, runs, wait=15)
    assert time.monotonic() - begin < 10


def test_the_total_size_of_a_batch_is_limited():
    runs = Runs()

    async def test(batcher):
        assert await asyncio.gather(*batcher.submit("a", [5, 6, 1])) == [10, 12, 2]

    with_batcher(test, runs, batch_total=100)
    assert runs.batches == [("a", [5, 6]), ("a", [1])]


def test_different_keys_never_share_a_batch_and_the_oldest_item_goes_first():
    runs = Runs()

    async def test(batcher):
        a = batcher.submit("a", [1])
        b = batcher.submit("b", [2])
        await asyncio.gather(*a, *b, *batcher.submit("a", [3]))

    with_batcher(test, runs)
    assert runs.batches == [("a", [1, 3]), ("b", [2])]


def test_items_that_do_not_all_fit_into_the_queue_are_all_refused():
    runs = Runs()
    runs.gate.clear()

    async def test(batcher):
        first = batcher.submit("a", [1])
        await until(lambda: batcher.running == 1)
        batcher.submit("a", range(15))
        with pytest.raises(QueueFullError):
            batcher.submit("a", range(6))
        assert batcher.waiting == 15
        last = batcher.submit("a", range(5))
        runs.gate.set()
        assert await asyncio.gather(*first, *last) == [2, 0, 2, 4, 6, 8]

    with_batcher(test, runs)


def test_cancelled_items_leave_the_queue_and_are_not_run():
    runs = Runs()
    runs.gate.clear()

    async def test(batcher):
        batcher.submit("a", [1])
        await until(lambda: batcher.running == 1)
        cancelled, kept = batcher.submit("a", [2, 3])
        cancelled.cancel()
        await until(lambda: batcher.waiting == 1)
        runs.gate.set()
        assert await kept == 6

    with_batcher(test, runs)
    assert runs.batches == [("a", [1]), ("a", [3])]


def test_cancelling_a_running_item_does_not_affect_its_batch():
    runs = Runs()
    runs.gate.clear()

    async def test(batcher):
        cancelled, kept = batcher.submit("a", [2, 3])
        await until(lambda: batcher.running == 2)
        cancelled.cancel()
        runs.gate.set()
        assert await kept == 6

    with_batcher(test, runs)


def test_a_failing_item_does_not_affect_the_others(caplog):
    async def test(batcher):
        results = await asyncio.gather(*batcher.submit("a", [1, -1, 2]), return_exceptions=True)
        assert (results[0], str(results[1]), results[2]) == (2, "a negative number", 4)
        assert await batcher.submit("a", [7])[0] == 14

    with_batcher(test, Runs())
    assert "a batch of 3 posts failed" in caplog.text


def test_closing_runs_the_waiting_items():
    runs = Runs()
    futures = []

    async def test(batcher):
        futures.extend(batcher.submit("a", range(9)))

    with_batcher(test, runs)
    assert [future.result() for future in futures] == [2 * i for i in range(9)]


def test_the_waiting_time_is_estimated_from_past_batches():
    runs = Runs()

    async def test(batcher):
        assert batcher.seconds_until(100) == 0
        runs.gate.clear()
        futures = batcher.submit("a", [1, 2])
        await until(lambda: batcher.running == 2)
        await asyncio.sleep(0.1)
        runs.gate.set()
        await asyncio.gather(*futures)
        await until(lambda: batcher.running == 0)
        assert 0.45 < batcher.seconds_until(10) < 5

    with_batcher(test, runs)
