"""Lines to a file or to standard output, and the log of records that could not become posts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from twofold.files import Input, OutputFile, write_whole
from twofold.posts import Rejected
from twofold.records import rejected_line

WriteLine = Callable[[str], None]
"""Writes a line, given without its line end."""


def to_stdout(path: Path | None) -> bool:
    """Whether a path means standard output: None or "-"."""
    return path is None or str(path) == "-"


@contextmanager
def lines_to(path: Path | None, inputs: Iterable[Input] = ()) -> Iterator[WriteLine]:
    """Write lines in UTF-8; a file appears once it is complete.

    Args:
        path: a file; None or "-" for standard output.
        inputs: files that are read during the run.

    Raises:
        DataError: the file cannot be written.
    """
    if path is None or to_stdout(path):
        yield line_writer(None)
        return
    with write_whole(path, inputs=inputs) as output:
        yield line_writer(output)


def line_writer(output: OutputFile | None) -> WriteLine:
    """Write lines to an output; None for standard output, which is flushed after each line."""

    def write(line: str) -> None:
        data = line.encode("utf-8") + b"\n"
        if output is not None:
            output.write(data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    return write


class RejectLog(Sequence[Rejected]):
    """Records that could not become posts: all counted and written, the first hundred kept.

    Args:
        write: writes each as a line of JSON; None if they need not be written.
        log: prints a message for the first few.
    """

    KEPT, SHOWN = 100, 10

    def __init__(self, write: WriteLine | None, log: Callable[[str], None]) -> None:
        self._write, self._log = write, log
        self._first: list[Rejected] = []
        self._count = 0

    def add(self, item: Rejected) -> None:
        """Add a rejected record."""
        self._count += 1
        if self._write is not None:
            self._write(rejected_line(item))
        if len(self._first) < self.KEPT:
            self._first.append(item)
        if self._count <= self.SHOWN:
            self._log(f"{item.origin}: rejected: {item.reason}")
        elif self._count == self.SHOWN + 1:
            self._log("further rejected lines are counted, but not shown")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Rejected: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rejected]: ...
    def __getitem__(self, index: int | slice) -> Rejected | list[Rejected]:
        return self._first[index]
