"""Extraction from tables: a stream of Arrow record batches, or one data frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twofold.errors import ConfigError, InputError
from twofold.frames.arrow import RESULTS, arrow, result_batch
from twofold.frames.rows import RowReader
from twofold.frames.tables import as_table, check_free, columns_of, with_results
from twofold.posts import Extraction, Post, Rejected

if TYPE_CHECKING:
    import pyarrow

Frame = TypeVar("Frame")
Results = Iterator[Extraction | Rejected]
Extract = Callable[[Iterable[Post | Rejected]], Results]
ON_ERROR = ("raise", "reject")
_FRAMES = "give table.to_batches(), or the table to extract_frame()"


def raising(results: Results) -> Results:
    """The same results, with an InputError at the first row that is not a post."""
    for result in results:
        if isinstance(result, Rejected):
            raise InputError(result.reason, where=result.origin)
        yield result


def check_on_error(on_error: str) -> bool:
    """Whether a row that is not a post is an error.

    Raises:
        ConfigError: ``on_error`` is neither of the two.
    """
    if on_error not in ON_ERROR:
        raise ConfigError(f"on_error is {on_error!r}", expected='"raise" or "reject"')
    return on_error == "raise"


def check_keep(keep: Sequence[str]) -> None:
    """Check that the columns to keep are a list, not one name, whose letters would be the columns.

    Raises:
        ConfigError: they are a text.
    """
    if isinstance(keep, str):
        raise ConfigError(
            f"keep is the text {keep!r}", expected="a list of column names", do=f"write keep=[{keep!r}]"
        )


def batches_of_results(
    extract: Extract,
    batches: Iterable[pyarrow.RecordBatch],
    reader: RowReader,
    keep: Sequence[str],
    strict: bool,
) -> Iterator[pyarrow.RecordBatch]:
    """A batch of results for each batch of posts; see `Extractor.map_batches`."""
    taken: deque[tuple[pyarrow.RecordBatch, int]] = deque()

    def feed() -> Iterator[Post | Rejected]:
        rows = 0
        for batch in batches:
            if not hasattr(batch, "num_rows"):
                raise InputError(f"got a {type(batch).__name__}", expected="Arrow record batches", do=_FRAMES)
            taken.append((batch, rows))
            rows += batch.num_rows
            yield from reader.posts(columns_of(batch))

    done: list[Extraction | Rejected] = []
    results = extract(feed())
    for result in raising(results) if strict else results:
        while not taken[0][0].num_rows:
            yield _batch(*taken.popleft(), [], reader, keep)
        done.append(result)
        if len(done) == taken[0][0].num_rows:
            yield _batch(*taken.popleft(), done, reader, keep)
            done = []
    for batch, first in taken:
        yield _batch(batch, first, done, reader, keep)


def _batch(
    batch: pyarrow.RecordBatch,
    first: int,
    results: Sequence[Extraction | Rejected],
    reader: RowReader,
    keep: Sequence[str],
) -> pyarrow.RecordBatch:
    names = batch.schema.names
    for name in keep:
        if name not in names:
            raise ConfigError(
                f"there is no column {name!r} to keep", expected=f"one of {', '.join(map(str, names))}"
            )
        if name in ("id", "text", *RESULTS):
            raise ConfigError(
                f"the column {name!r} cannot be kept: a column of the results has its name",
                expected=f"other names than id, text, {', '.join(RESULTS)}",
                do="rename it",
            )
    pa, column = arrow(), reader.columns.column("id", names)
    numbers = range(first, first + batch.num_rows)
    ids = pa.array(numbers, pa.int64()) if column is None else _array(batch, column)
    return result_batch(results, ids, {name: _array(batch, name) for name in keep})


def _array(batch: pyarrow.RecordBatch | pyarrow.Table, name: str) -> pyarrow.Array:
    """A column as one array, also that of a table."""
    column = batch.column(name)
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def frame_with_results(
    extract: Extract, frame: Frame, reader: RowReader, strict: bool, prefix: str
) -> Frame:  # fmt: skip
    """The frame with the columns of the results; see `Extractor.extract_frame`."""
    table: Any = as_table(frame)
    columns = columns_of(table)
    names = RESULTS[:-1] if strict else RESULTS
    check_free(names, columns, prefix)
    found = extract(reader.posts(columns))
    results = list(raising(found) if strict else found)
    return with_results(table, results, names, prefix)  # type: ignore[no-any-return]
