"""The loaded model under the options of requests: graphs are shared, a few variants are kept.

It does not know HTTP.
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
    """Pipelines by options, made when they are first asked for.

    Args:
        extractor: the loaded model, under the options of the service.
        default: these options.
    """

    def __init__(self, extractor: Extractor, default: Options) -> None:
        self.default = default
        self._base = extractor.pipeline
        self._made: dict[Options, InferencePipeline] = {}
        self._lock = threading.Lock()

    def made(self, options: Options) -> InferencePipeline | None:
        """The model under these options, where it needs not be made."""
        return self._base if options == self.default else self._made.get(options)

    def get(self, options: Options) -> InferencePipeline:
        """The model under these options, in any thread; it may read files.

        Raises:
            ConfigError, ModelError: as `twofold.load`.
        """
        if options == self.default:
            return self._base
        with self._lock:
            found = self._made.get(options)
            if found is None:
                found = self._made[options] = self._make(options)
                if len(self._made) > _KEPT:
                    del self._made[next(iter(self._made))]
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
