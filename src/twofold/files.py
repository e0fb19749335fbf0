"""Output files: the only module that writes them.

A regular file is written as ``NAME.part`` beside its path and renamed at the end: readers see the old file or
the new one, never half of it. A symbolic link stays and its target is replaced. A device, a pipe or a
descriptor (``/dev/stdout``) is written to directly. Two runs cannot write the same file: the second is
refused. This module knows nothing of the content.
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
"""An input of the same run: a file, or an open descriptor such as that of standard input."""

_DESCRIPTOR = re.compile(r"/(?:dev|proc/(self|thread-self|\d+))/fd/(\d+)")
_LONGEST_NAME = 250
_LINKS = 40
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}
"""Errors of file systems without ``fsync``."""


class OutputFile:
    """An output file, opened at once, so that a file that cannot be written is an error before the work.

    Args:
        path: path of the file.
        inputs: inputs of the same run; none may be the output or its ``.part``.
        keep_part: whether to keep the ``.part`` with the data written so far if the work is interrupted.
        make_folder: whether to create its folder.

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
        """Whether it is written to directly, so that written data cannot be discarded."""
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
        """Append data.

        Raises:
            DataError: the data cannot be written.
            BrokenPipeError: the reader of a pipe has closed it.
        """
        try:
            self._begin()
            self._stream.write(data)
            if self.direct:  # the reader of a pipe gets each result at once
                self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._cannot(error) from error

    @property
    def part_size(self) -> int:
        """Bytes in the ``.part``, including those of an earlier run; 0 if there is none."""
        return 0 if self.direct else self._part.stat().st_size

    def resume(self, size: int) -> None:
        """Keep the first ``size`` bytes that an earlier run left in the ``.part``, and append to them."""
        try:
            os.truncate(self._stream.fileno(), size)
            self._stream.seek(size)
        except OSError as error:
            raise self._cannot(error) from error
        self._begun = True

    def synchronise(self) -> int:
        """Flush written data to the disk and return the size of the ``.part``.

        Raises:
            DataError: the data cannot be written.
        """
        try:
            self._begin()
            self._stream.flush()
            _synchronise(self._stream)
            return self._stream.tell()
        except OSError as error:
            raise self._cannot(error) from error

    def read_part(self, begin: int, end: int) -> bytes:
        """Bytes ``begin`` to ``end`` of the ``.part``, written before."""
        with self._part.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin)

    def finish(self, keep: bool = True) -> None:
        """Move the written file into place; further calls do nothing.

        Args:
            keep: False to discard the output; an older file stays as it was.

        Raises:
            DataError: the file cannot be written.
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
        """Close without publishing the output: an older file stays as it was."""
        if self._done:
            return
        self._done = True
        self._remove()
        self._close()

    def _remove(self) -> None:
        """Delete the ``.part``, unless it is to be kept and has content, of this run or an earlier one."""
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
            raise FileExistsError(errno.EEXIST, f"{self._part} exists and is not a regular file")
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
                    what, where=str(self.path), expected="a different file", do="name another file"
                )

    def _begin(self) -> None:
        """Empty the ``.part`` of an earlier run, if any: only once there is something to write."""
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
        if os.name == "nt":  # Windows cannot rename an open file
            self._stream.close()
        self._part.replace(self._target)  # while the lock is held

    def _close(self) -> None:
        with suppress(OSError):
            self._stream.close()

    def _cannot(self, error: OSError | ValueError) -> DataError:
        """The error to raise; ``strerror`` may be None, and a bare `ValueError` means a path with NUL."""
        reason, remedy = "no file can have such a name", ""
        if isinstance(error, OSError):
            reason = error.strerror or str(error) or type(error).__name__
        folder = self._part.parent if self.path.parent.exists() else self.path.parent
        if isinstance(error, FileNotFoundError) and not folder.exists():
            reason, remedy = f"the folder {folder} does not exist", "create it, or name another folder"
        kept = self._keep_part and not self.direct and _holds_data(self._part)
        return DataError(
            f"cannot be written: {reason}",
            where=str(self.path),
            expected="a file in a writable folder that exists, with enough free space",
            do=f"the output so far is in {self._part}" if kept else remedy,
        )


class Outputs:
    """The outputs of one command, all opened before the work and finished independently at its end.

    Args:
        inputs: what the command reads.
    """

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._inputs = list(inputs)
        self._open: list[OutputFile] = []
        self._claimed: set[Path] = set()
        self._errors: list[DataError] = []

    def open(self, path: Path, *, keep_part: bool = False) -> OutputFile:
        """Open an output; arguments and errors as in `OutputFile`."""
        claimed = _claimed(path)
        if not claimed.isdisjoint(self._claimed):
            raise DataError(
                "is another output of the same command too",
                where=str(path),
                expected="a different file for each",
                do="name another file",
            )
        output = OutputFile(path, self._inputs, keep_part=keep_part)
        self._claimed |= claimed
        self._open.append(output)
        return output

    def check(self, path: Path) -> None:
        """Check that a file that will be opened later can be written; errors as in `OutputFile`."""
        output = self.open(path)
        output.abandon()
        self._open.remove(output)

    def finish(self, output: OutputFile, keep: bool = True) -> None:
        """Finish one output now; an error is raised at the end, after the other outputs."""
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
    """An output that is finished if the block succeeds, and discarded if it raises.

    Args:
        path: the file, replaced if it exists; or an output that was opened for it.
        keep: called at the end; False to discard the output.
        inputs: as in `OutputFile`, as is ``make_folder``.

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
    """Target of a path: a file (or where one can be created) or the number of an open descriptor."""
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
    """Files that an output creates: itself and its ``.part``; none if it is written to directly."""
    try:
        place = _followed(path)
        found = None if isinstance(place, int) else _status(place)
    except (OSError, ValueError):
        return set()  # opening it raises the error
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
