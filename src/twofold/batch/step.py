"""The unit of work of a run: extract one shard of rows and return the bytes of its part.

A step is pure: it writes no file, and the part depends only on the rows, the model and the options. So it can
run in this process, in another one, or on another machine, and can be repeated after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twofold.batch.counts import Counts
from twofold.batch.part_formats import encode
from twofold.batch.shards import Shard
from twofold.pipeline.extractor import Extractor
from twofold.posts import Extraction, Post, Rejected
from twofold.records import rejected_line

_SHOWN = 20
"""Largest number of messages kept of a part: only the first of a run are printed."""


@dataclass(frozen=True, slots=True)
class Part:
    """The output of a shard.

    Attributes:
        number, first, digest, position: of the shard.
        rows: its number of rows.
        output: bytes of the results, in the format of the step.
        rejects: records that could not become posts, as JSON Lines.
        counts: of the shard.
        warnings: the first warnings, to print.
        rejections: why the first rejected records were rejected, to print.
    """

    number: int
    first: int
    rows: int
    digest: str
    position: int
    output: bytes
    rejects: bytes
    counts: Counts
    warnings: tuple[str, ...] = ()
    rejections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """How a shard is extracted.

    Attributes:
        format: of the results, see `part_formats`.
        grows: whether parts are appended to one file, so that only the first has a header.
        batch_size: windows of text in a batch.
        min_confidence: entities and relations below it are left out; None to keep all.
        carried: input columns that are copied to the output.
    """

    format: str = "jsonl"
    grows: bool = False
    batch_size: int = 32
    min_confidence: float | None = None
    carried: tuple[str, ...] = ()

    def run(self, extractor: Extractor, shard: Shard) -> Part:
        """Extract one shard."""
        counts = Counts()
        warnings: list[str] = []
        rejected: list[Rejected] = []
        found: list[tuple[Post, Extraction]] = []
        for item, result in self._results(extractor, shard):
            if isinstance(result, Rejected):
                counts.rejected += 1
                rejected.append(result)
            elif isinstance(item, Post):
                found.append((item, result))
                warnings += counts.add(item, result)
        header = not (self.grows and shard.number)
        return Part(
            shard.number,
            shard.first,
            len(shard.items),
            shard.digest,
            shard.position,
            encode(found, self.format, self.carried, header),
            b"".join(rejected_line(item).encode() + b"\n" for item in rejected),
            counts,
            tuple(warnings[:_SHOWN]),
            tuple(f"{item.origin}: rejected: {item.reason}" for item in rejected[:_SHOWN]),
        )

    def _results(
        self, extractor: Extractor, shard: Shard
    ) -> Iterator[tuple[Post | Rejected, Extraction | Rejected]]:
        results = extractor.extract(shard.items, batch_size=self.batch_size, on_error="reject")
        for item, result in zip(shard.items, results, strict=True):
            if isinstance(result, Extraction) and self.min_confidence is not None:
                result = result.with_confidence(self.min_confidence)
            yield item, result
