"""Deadlines, disconnects, overload: accepted requests are answered in time, others refused at once."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

import pytest
from server.live import Live, live

from twofold.server.settings import Limits, Settings

POST = {"id": 1, "text": "Anna left paris"}
SECONDS = int(os.environ.get("TWOFOLD_LOAD_SECONDS", "6"))
"""How long the service is overloaded."""


@contextmanager
def slow_service(extractor, work: Callable[[int], None], settings: Settings):
    """A service whose batches first do some work, given their number of posts."""
    with live(extractor, settings) as service:
        batcher = service.service.batcher
        run = batcher._run

        def slowly(model, posts):
            work(len(posts))
            return run(model, posts)

        batcher._run = slowly
        yield service


@pytest.fixture
def gate():
    """A closed gate: batches wait until it is opened."""
    found = threading.Event()
    yield found
    found.set()


@pytest.fixture
def blocked(extractor, gate):
    limits = Limits(queue=6, posts=6, seconds=20)
    with slow_service(extractor, lambda count: gate.wait(30), Settings(limits=limits, runners=1)) as service:
        yield service
        gate.set()


def in_thread(answers: list, ask: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    return thread


def fill(service: Live, answers: list) -> list[threading.Thread]:
    """Send requests until one is in the model and one in the queue."""
    batcher = service.service.batcher
    threads = [in_thread(answers, lambda: service.post(POST))]
    service.wait_until(lambda: batcher.running == 1)
    threads.append(in_thread(answers, lambda: service.post({"posts": [POST] * 4})))
    service.wait_until(lambda: batcher.waiting == 4)
    return threads


def test_a_full_queue_refuses_with_retry_after_and_recovers(blocked, gate):
    answers: list = []
    threads = fill(blocked, answers)
    for value, headers in (
        ({"posts": [POST] * 3}, {}),
        (b"\n".join([json.dumps(POST).encode()] * 3), {"Content_Type": "application/x-ndjson"}),
    ):
        answer = blocked.post(value, **headers)
        assert (answer.status, answer.code) == (429, "busy")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    gate.set()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]
    assert blocked.post({"posts": [POST] * 6}).status == 200


def test_after_a_deadline_the_posts_are_not_run(blocked, gate):
    answers: list = []
    threads = fill(blocked, answers)
    batcher = blocked.service.batcher
    begin = time.monotonic()
    answer = blocked.post(POST, "?timeout=0.3")
    assert (answer.status, answer.code) == (504, "deadline")
    assert 0.3 <= time.monotonic() - begin < 10
    assert batcher.waiting == 4
    lines = blocked.post({"posts": [POST, 5]}, "?timeout=0.3", Accept="application/x-ndjson").lines
    assert [line["error"]["code"] for line in lines] == ["deadline", "bad_post"]
    assert lines[0]["id"] == 1
    blocked.wait_until(lambda: batcher.waiting == 4)
    gate.set()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]


def test_posts_of_a_disconnected_client_are_not_run(blocked, gate):
    answers: list = []
    threads = fill(blocked, answers)
    batcher, budget = blocked.service.batcher, blocked.service.budget
    held = budget.held

    async def disconnect(accept: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", blocked.port)
        body = json.dumps({"posts": [POST]})
        head = (
            f"POST /v1/extract HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nContent-Type: application/json\r\n"
        )
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while batcher.waiting < 5:
            await asyncio.sleep(0.01)
        writer.transport.abort()

    for accept in ("application/json", "application/x-ndjson"):
        asyncio.run(disconnect(accept))
        blocked.wait_until(lambda: batcher.waiting == 4)
        blocked.wait_until(lambda: budget.held == held)
    gate.set()
    for thread in threads:
        thread.join()


def test_an_internal_error_affects_only_its_post(extractor, caplog):
    def work(count: int) -> None:
        if count > 1:
            raise RuntimeError("too many")

    with slow_service(extractor, work, Settings()) as service:
        results = service.post({"posts": [POST, POST | {"id": 2}]}).json["results"]
        assert [result["id"] for result in results] == [1, 2]
        assert all(result["entities"] for result in results)

    def broken(count: int) -> None:
        raise RuntimeError("secret of the house")

    with slow_service(extractor, broken, Settings()) as service:
        answer = service.post(POST)
        assert (answer.status, answer.code) == (500, "internal")
        assert b"secret" not in answer.body
        (result,) = service.post({"posts": [POST]}).json["results"]
        assert (result["id"], result["error"]["code"]) == (1, "internal")
        assert service.get("/healthz").status == 200


def test_requests_are_refused_while_the_service_shuts_down(extractor):
    with live(extractor) as service:
        service.service.ending = True
        for answer in (service.get("/readyz"), service.post(POST)):
            assert answer.status == 503
            assert answer.headers["retry-after"] == "5"
        assert service.get("/healthz").status == 200


async def one(port: int, number: int) -> tuple[int, float, dict]:
    """A request on its own connection: status, seconds, and the answer."""
    begin = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(POST | {"id": number})
    head = "POST /v1/extract HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    top, _, content = answer.partition(b"\r\n\r\n")
    status = int(top.split()[1])
    assert status != 429 or b"retry-after: " in top.lower()
    return status, time.monotonic() - begin, json.loads(content)


@pytest.mark.slow
def test_overload_at_twice_the_capacity(extractor):
    """Batches of 2 take 0.25 s: 8 posts a second. 16 a second come; the queue is full after one."""
    limits = Limits(queue=8, posts=8, seconds=10)
    settings = Settings(limits=limits, runners=1, batch_posts=2)

    async def load(port: int) -> list[tuple[int, float, dict]]:
        begin, tasks = time.monotonic(), []
        for number in range(16 * SECONDS):
            await asyncio.sleep(max(0.0, begin + number / 16 - time.monotonic()))
            tasks.append(asyncio.ensure_future(one(port, number)))
        return await asyncio.gather(*tasks)

    with slow_service(extractor, lambda count: time.sleep(0.25), settings) as service:
        service.post(POST)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answers = asyncio.run(load(service.port))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        begin = time.monotonic()
        assert service.post(POST).status == 200
        assert time.monotonic() - begin < 2
    accepted = [seconds for status, seconds, _ in answers if status == 200]
    assert [found["id"] for status, _, found in answers if status == 200] == [
        number for number, (status, *_) in enumerate(answers) if status == 200
    ]
    assert {status for status, *_ in answers} == {200, 429}
    assert len(accepted) > 5 * SECONDS  # of the 8 that fit into a second, on a busy machine
    # The bound: the whole queue and two batches before it, times two for a busy machine.
    assert sorted(accepted)[int(0.99 * len(accepted))] < 2 * (8 / 8 + 0.5)
    refused = sorted(seconds for status, seconds, _ in answers if status == 429)
    assert refused[len(refused) // 2] < 0.5
    assert grown < 50_000  # kilobytes
