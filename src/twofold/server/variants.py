"""The loaded model under the options of requests: graphs are shared, a few variants are kept.

The module does not depend on HTTP.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from twofold.pipeline.extractor import Extractor
from twofold.pipeline.inference_pipeline import InferencePipeline

_KEPT = 32


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `twofold.load` that a request may choose; None for none, or the default of the model."""

    max_error: float | None = None
    max_relation_error: float | None = None
    coverage: float | None = None
    convention: str | None = None
    mentions: str | None = None
    hashtags: str | None = None
    relations: bool = True


class Variants:
    """Pipelines by options, each made at its first use.

    Args:
        extractor: the loaded model, under the options of the service.
        default: the options of the service.
    """

    def __init__(self, extractor: Extractor, default: Options) -> None:
        self.default = default
        self._base = extractor.pipeline
        self._cached: dict[Options, InferencePipeline] = {}
        self._lock = threading.Lock()

    def cached(self, options: Options) -> InferencePipeline | None:
        """The model under these options if it exists already, else None."""
        return self._base if options == self.default else self._cached.get(options)

    def get(self, options: Options) -> InferencePipeline:
        """The model under these options, made if needed; for any thread, may read files.

        Raises:
            ConfigError, ModelError: as `twofold.load`.
        """
        if options == self.default:
            return self._base
        with self._lock:
            found = self._cached.get(options)
            if found is None:
                found = self._cached[options] = self._make(options)
                if len(self._cached) > _KEPT:
                    del self._cached[next(iter(self._cached))]
            return found

    def _make(self, options: Options) -> InferencePipeline:
        conventions = self._base.folder.config.conventions
        return self._base.with_options(
            max_error=options.max_error,
            max_relation_error=options.max_relation_error,
            coverage=options.coverage,
            convention=conventions.choose(options.convention, options.mentions, options.hashtags),
            relations=options.relations,
        )
