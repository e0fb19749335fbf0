"""Where results go: a file that looks finished only when it is, or standard output.

A file is written as ``NAME.part`` beside its place and renamed at the end. When the run is cut off,
what was done so far stays in the ``.part`` file, and an older ``NAME`` stays as it was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, overload

from twofold.errors import DataError
from twofold.posts import Rejected

WriteLine = Callable[[str], None]
"""Takes a line without its end."""


@contextmanager
def lines_to(path: Path | None, keep: Callable[[], bool] = lambda: True) -> Iterator[WriteLine]:
    """Write lines in UTF-8.

    Args:
        path: a file; None or "-" for standard output.
        keep: asked at the end; False to leave an older file as it was.

    Raises:
        DataError: the file cannot be opened.
    """
    if path is None or str(path) == "-":
        yield _writer(sys.stdout.buffer, flush=True)
        return
    direct = path.exists() and not path.is_file()  # /dev/null, a pipe
    place = path if direct else path.with_name(f"{path.name}.part")
    with _open(place, path) as stream:
        yield _writer(stream, flush=direct)
    if direct:
        return
    if keep():
        place.replace(path)
    else:
        place.unlink()


def _open(place: Path, path: Path) -> BinaryIO:
    try:
        return place.open("wb")
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            expected="a file in a folder that may be written to",
        ) from error


def _writer(stream: BinaryIO, flush: bool) -> WriteLine:
    def write(line: str) -> None:
        stream.write(line.encode("utf-8") + b"\n")
        if flush:  # whoever reads a pipe gets each result when it is there
            stream.flush()

    return write


class RejectLog(Sequence[Rejected]):
    """Records that could not become posts: all counted and written, the first hundred kept.

    Args:
        write: takes each as a line of JSON; None where nobody asked for them.
        tell: takes a message for the first few.
    """

    KEPT, TOLD = 100, 10

    def __init__(self, write: WriteLine | None, tell: Callable[[str], None]) -> None:
        self._write, self._tell = write, tell
        self._first: list[Rejected] = []
        self._count = 0

    def add(self, item: Rejected) -> None:
        """Take one."""
        self._count += 1
        if self._write is not None:
            record = {"origin": item.origin, "reason": item.reason, "raw": item.raw}
            self._write(json.dumps(record, ensure_ascii=False))
        if len(self._first) < self.KEPT:
            self._first.append(item)
        if self._count <= self.TOLD:
            self._tell(f"{item.origin}: rejected: {item.reason}")
        elif self._count == self.TOLD + 1:
            self._tell("further rejected lines are only counted here")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Rejected: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rejected]: ...
    def __getitem__(self, index: int | slice) -> Rejected | list[Rejected]:
        return self._first[index]
