"""The one writer of output files.

A regular file is written as ``NAME.part`` beside its place and renamed at the end: whoever looks sees the
old file or the new one, never half of it. A symbolic link stays and what it points to is replaced. A
device, a pipe or a descriptor (``/dev/stdout``) is written to as it is. Two runs cannot write one file: the
second is refused. It does not know what is written.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from twofold.errors import DataError
from twofold.locks import in_use, open_locked
from twofold.reading import real_path

Input = Path | int
"""Something that is read meanwhile: a file, or an open descriptor such as that of standard input."""

_DESCRIPTOR = re.compile(r"/(?:dev|proc/(self|thread-self|\d+))/fd/(\d+)")
_LONGEST_NAME = 250
_LINKS = 40
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}
"""What file systems say that know no such thing."""


class OutputFile:
    """One output: opened at once, so that what keeps it from being written is known before the work.

    Args:
        path: where it shall be.
        inputs: what is read meanwhile; none of it may be the output or its ``.part``.
        keep_part: whether what was written stays in the ``.part`` when the work is broken off.
        make_folder: whether to make the folder it lies in.

    Raises:
        DataError: it cannot be written, is one of the inputs, or another run writes it.
    """

    def __init__(
        self,
        path: Path,
        inputs: Iterable[Input] = (),
        *,
        keep_part: bool = False,
        make_folder: bool = False,
    ) -> None:
        self.path = path
        self.direct = True
        """Whether it is written to as it is, and so cannot be taken back."""
        self._keep_part = keep_part
        self._part = self._target = path
        self._done = self._begun = False
        try:
            if make_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._open(list(inputs))
        except (OSError, ValueError) as error:
            raise self._cannot(error) from error

    def write(self, data: bytes) -> None:
        """Write at the end.

        Raises:
            DataError: nothing more can be written.
            BrokenPipeError: whoever read a pipe has left.
        """
        try:
            self._begin()
            self._stream.write(data)
            if self.direct:  # whoever reads a pipe gets each result when it is there
                self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._cannot(error) from error

    @property
    def part_size(self) -> int:
        """Bytes in the ``.part``, what a run before may have left there included; 0 where there is none."""
        return 0 if self.direct else self._part.stat().st_size

    def resume(self, size: int) -> None:
        """Keep the first bytes of what a run before left in the ``.part``, and write behind them."""
        try:
            os.truncate(self._stream.fileno(), size)
            self._stream.seek(size)
        except OSError as error:
            raise self._cannot(error) from error
        self._begun = True

    def synchronise(self) -> int:
        """See that what was written is on the disk; gives the size of the ``.part``.

        Raises:
            DataError: it cannot be.
        """
        try:
            self._begin()
            self._stream.flush()
            _synchronise(self._stream)
            return self._stream.tell()
        except OSError as error:
            raise self._cannot(error) from error

    def read_part(self, begin: int, end: int) -> bytes:
        """Bytes of the ``.part`` that were written before."""
        with self._part.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)

    def finish(self, keep: bool = True) -> None:
        """Put the file in its place; once, further calls do nothing.

        Args:
            keep: False to leave everything as it was.

        Raises:
            DataError: it cannot be.
        """
        if self._done:
            return
        self._done = True
        try:
            self._publish(keep)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._remove()
            raise self._cannot(error) from error
        finally:
            self._close()

    def abandon(self) -> None:
        """End without a result: an older file stays as it was."""
        if self._done:
            return
        self._done = True
        self._remove()
        self._close()

    def _remove(self) -> None:
        """Leave no ``.part`` but one to be kept: with something in it, of this run or of one before."""
        if self.direct:
            return
        with suppress(OSError):
            if not self._keep_part or not self._part.stat().st_size:
                self._part.unlink()

    def _open(self, inputs: list[Input]) -> BinaryIO:
        place = _followed(self.path)
        if isinstance(place, int):
            return os.fdopen(os.dup(place), "wb")
        found = _status(place)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if found is not None and not stat.S_ISREG(found.st_mode):
            return place.open("wb")
        self._refuse(found, inputs, "is the same file as one that is read")
        if found is not None and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, "the file there is write-protected")
        self.direct, self._target, self._part = False, place, place.with_name(_part_name(place.name))
        self._refuse(_status(self._part), inputs, f"would be written as {self._part}, which is being read")
        return self._open_part(found)

    def _open_part(self, older: os.stat_result | None) -> BinaryIO:
        if self._part.is_symlink():
            raise FileExistsError(errno.EEXIST, f"{self._part} is a symbolic link")
        try:
            handle = open_locked(self._part)
        except DataError as error:
            raise in_use(self.path) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise FileExistsError(errno.EEXIST, f"{self._part} is in the way")
        if older is not None and hasattr(os, "fchmod"):
            with suppress(OSError):
                os.fchmod(handle, stat.S_IMODE(older.st_mode))
        return os.fdopen(handle, "wb")

    def _refuse(self, found: os.stat_result | None, inputs: list[Input], what: str) -> None:
        if found is None:
            return
        for item in inputs:
            read = _status(item) if isinstance(item, Path) else os.fstat(item)
            if read is not None and os.path.samestat(read, found):
                raise DataError(
                    what, where=str(self.path), expected="a file of its own", do="name another file"
                )

    def _begin(self) -> None:
        """Empty the ``.part`` that a run before may have left: not before there is something to put there."""
        if not self._begun and not self.direct:
            os.truncate(self._stream.fileno(), 0)
        self._begun = True

    def _publish(self, keep: bool) -> None:
        self._begin()
        self._stream.flush()
        if self.direct:
            return
        if not keep:
            self._part.unlink()
            return
        _synchronise(self._stream)
        if os.name == "nt":  # an open file cannot be renamed there
            self._stream.close()
        self._part.replace(self._target)  # under the lock

    def _close(self) -> None:
        with suppress(OSError):
            self._stream.close()

    def _cannot(self, error: OSError | ValueError) -> DataError:
        """What to say; ``strerror`` is None for some errors, and a bare `ValueError` is a path with NUL."""
        reason = "no file can have such a name"
        if isinstance(error, OSError):
            reason = error.strerror or str(error) or type(error).__name__
        kept = self._keep_part and not self.direct and _holds_data(self._part)
        return DataError(
            f"cannot be written: {reason}",
            where=str(self.path),
            expected="a file in a folder that may be written to, with room for it",
            do=f"what was done so far is in {self._part}" if kept else "",
        )


class Outputs:
    """The outputs of one command, all opened before the work; at its end each is finished on its own.

    Args:
        inputs: what the command reads.
    """

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._inputs = list(inputs)
        self._open: list[OutputFile] = []
        self._claimed: set[Path] = set()
        self._errors: list[DataError] = []

    def open(self, path: Path, *, keep_part: bool = False) -> OutputFile:
        """Open one. Arguments and errors as of `OutputFile`."""
        claimed = _claimed(path)
        if not claimed.isdisjoint(self._claimed):
            raise DataError(
                "is another output of the same command too",
                where=str(path),
                expected="a file of its own for each",
                do="name another file",
            )
        output = OutputFile(path, self._inputs, keep_part=keep_part)
        self._claimed |= claimed
        self._open.append(output)
        return output

    def check(self, path: Path) -> None:
        """Complain where a file cannot be written that is opened later. Errors as of `OutputFile`."""
        output = self.open(path)
        output.abandon()
        self._open.remove(output)

    def finish(self, output: OutputFile, keep: bool = True) -> None:
        """Put one in its place now; an error is raised at the end, after the others."""
        try:
            output.finish(keep)
        except DataError as error:
            self._errors.append(error)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for output in self._open:
            if kind is None:
                self.finish(output)
            else:
                output.abandon()
        if kind is None and self._errors:
            raise self._errors[0] if len(self._errors) == 1 else DataError("; ".join(map(str, self._errors)))


@contextmanager
def write_whole(
    path: Path | OutputFile,
    keep: Callable[[], bool] = lambda: True,
    inputs: Iterable[Input] = (),
    make_folder: bool = False,
) -> Iterator[OutputFile]:
    """An output that is put in its place when the block ends well, and vanishes when it does not.

    Args:
        path: the file, of which one that is there is replaced; or an output that was opened for it.
        keep: asked at the end; False to leave everything as it was.
        inputs: as of `OutputFile`, as is ``make_folder``.

    Raises:
        DataError: the file cannot be written.
    """
    output = path if isinstance(path, OutputFile) else OutputFile(path, inputs, make_folder=make_folder)
    try:
        yield output
    except BaseException:
        output.abandon()
        raise
    output.finish(keep())


def _synchronise(stream: BinaryIO) -> None:
    """Flush to disk, so that a late error is raised while the old file is still there."""
    try:
        os.fsync(stream.fileno())
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def _followed(path: Path) -> Path | int:
    """Where a path leads: a file (or where one can be made) or the number of an open descriptor."""
    here = path.absolute()
    for _ in range(_LINKS):
        match = _DESCRIPTOR.fullmatch(str(here))
        if match and match[1] in (None, "self", "thread-self", str(os.getpid())):
            return int(match[2])
        if not here.is_symlink():
            return real_path(here.parent) / here.name
        here = real_path(here.parent) / here.readlink()
    raise OSError(errno.ELOOP, "too many symbolic links one after the other")


def _claimed(path: Path) -> set[Path]:
    """Files that an output makes: itself and its ``.part``; none where it is written to as it is."""
    try:
        place = _followed(path)
        found = None if isinstance(place, int) else _status(place)
    except (OSError, ValueError):
        return set()  # opening it tells what is wrong
    if isinstance(place, int) or (found is not None and not stat.S_ISREG(found.st_mode)):
        return set()
    return {place, place.with_name(_part_name(place.name))}


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _holds_data(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _part_name(name: str) -> str:
    whole = f"{name}.part"
    return whole if len(os.fsencode(whole)) <= _LONGEST_NAME else f"{name[:50]}.part"
