"""A run over many posts: an engine extracts the shards that are not yet done, a destination stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from twofold.batch.counts import Counts
from twofold.batch.destinations import Destination, DonePart
from twofold.batch.inputs import Rows
from twofold.batch.job import DISCARD
from twofold.batch.shards import Shard, cut
from twofold.batch.step import Part
from twofold.errors import DataError

Engine = Callable[[Iterable[Shard]], Iterable[Part]]


def run_batch(
    rows: Rows,
    destination: Destination,
    engine: Engine,
    shard_rows: int,
    done: Callable[[Part], None] = lambda part: None,
) -> Counts:
    """Extract the shards that are not yet done, and complete the output.

    Args:
        rows: the input.
        destination: stores the parts.
        engine: turns shards into parts.
        shard_rows: largest number of rows of a shard.
        done: is called with each part after it was written.

    Returns:
        Counts of the whole output, including the parts of earlier runs.

    Raises:
        DataError: the input has changed since the earlier run, or a file cannot be read or written.
    """
    counts = sum((part.counts for part in destination.done.values()), Counts())
    if destination.complete:
        return counts
    for part in engine(Remaining(rows, shard_rows, dict(destination.done))):
        destination.add(part)
        counts += part.counts
        done(part)
    destination.finish(counts)
    return counts


@dataclass(frozen=True, slots=True)
class Remaining:
    """The shards that are not yet done, in order; it can be pickled before it is iterated.

    Attributes:
        rows: the input.
        shard_rows: largest number of rows of a shard.
        done: finished parts by number; their digests are compared with those of the input.
    """

    rows: Rows
    shard_rows: int
    done: Mapping[int, DonePart]

    def __iter__(self) -> Iterator[Shard]:
        """The shards.

        Raises:
            DataError: the input has changed since the earlier run.
        """
        left = dict(self.done)
        for shard in cut(self.rows, self.shard_rows):
            part = left.pop(shard.number, None)
            if part is None:
                yield shard
            elif (part.rows, part.digest) != (len(shard.items), shard.digest):
                raise _changed(f"rows {shard.first + 1:,} to {shard.first + len(shard.items):,}")
        if left:
            raise _changed("the end")


def _changed(where: str) -> DataError:
    return DataError(
        f"{where} of the input changed since the unfinished run",
        expected="the same posts, to resume the run",
        do=f"give the same posts, another output, or {DISCARD} to discard what was done",
    )
