"""Metrics of a service for Prometheus: numbers only, no content of posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from twofold.posts import Extraction
from twofold.version import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one service.

    Args:
        model: name of the model.
        queue: returns the number of posts that wait.
        running: returns the number of posts in running batches.
        held: returns the bytes of bodies in memory.
    """

    def __init__(
        self, model: str, queue: Callable[[], int], running: Callable[[], int], held: Callable[[], int]
    ) -> None:
        self._registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self.requests = Counter(
            "twofold_requests", "Requests answered", ["path", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "twofold_request_seconds",
            "Seconds from the head of a request to the end of its response",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.problems = Counter("twofold_problems", "Posts and requests refused", ["code"], registry=registry)
        self.posts = Counter("twofold_posts", "Posts read, by their picture", ["picture"], registry=registry)
        self.entities = Counter("twofold_entities", "Entities found", ["type"], registry=registry)
        self.relations = Counter("twofold_relations", "Relations found", registry=registry)
        self.review = Counter("twofold_review", "Entities and relations marked for review", registry=registry)
        self.batch_posts = Histogram(
            "twofold_batch_posts", "Posts per batch", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "twofold_batch_seconds", "Seconds a batch ran", buckets=_SECONDS, registry=registry
        )
        self.wait_seconds = Histogram(
            "twofold_wait_seconds", "Seconds a post waited in the queue", buckets=_SECONDS, registry=registry
        )
        for name, text, value in (
            ("twofold_queue_posts", "Posts that wait", queue),
            ("twofold_running_posts", "Posts in running batches", running),
            ("twofold_held_bytes", "Bytes of requests in memory", held),
        ):
            Gauge(name, text, registry=registry).set_function(value)
        info = Gauge("twofold_info", "Version and model", ["version", "model"], registry=registry)
        info.labels(__version__, model).set(1)

    def ran(self, size: int, waited: Sequence[float], seconds: float) -> None:
        """See `twofold.server.batcher.BatchListener`."""
        self.batch_posts.observe(size)
        self.batch_seconds.observe(seconds)
        for wait in waited:
            self.wait_seconds.observe(wait)

    def answered(self, extraction: Extraction) -> None:
        """Count an extraction that is sent."""
        self.posts.labels(extraction.picture.status).inc()
        for entity in extraction.entities:
            self.entities.labels(entity.type).inc()
        self.relations.inc(len(extraction.relations))
        marked = [of.review for of in extraction.entities] + [of.review for of in extraction.relations]
        self.review.inc(marked.count(True))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
