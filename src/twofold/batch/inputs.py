"""Which files a run reads, and their posts one after the other.

A place is a file, a folder, a pattern such as ``posts/*.jsonl``, or an address that fsspec supports
(``s3://bucket/posts``). Files are sorted by name, so that rows have the same numbers in every run. A file
that cannot be read becomes a rejected record; the other files are still read.
"""

from __future__ import annotations

import dataclasses
import errno
import glob
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from twofold.corpora import ColumnNames, attach, checked, open_corpus, read_table
from twofold.corpora.confinement import lies_in
from twofold.corpora.formats import BY_SUFFIX, named_format
from twofold.corpora.lines import unreadable
from twofold.errors import DataError, MissingExtraError
from twofold.extras import extra_module
from twofold.posts import MAX_CHARACTERS, Post, RefusedPicture, Rejected
from twofold.reading import real_path

_HIDDEN = ("_", ".")
"""Names with these prefixes are not data, as for other tools: results, markers, unfinished files."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of posts.

    Attributes:
        address: path or address, as shown in messages.
        size: in bytes.
        path: local path; None for a remote file.
        refused: why it must not be opened; empty if it may be.
    """

    address: str
    size: int
    path: Path | None = None
    refused: str = ""


@dataclass(frozen=True)
class ReadingOptions:
    """How posts are read.

    Attributes:
        images, alt_text, allow_outside, max_characters, columns: as in `open_corpus`.
    """

    images: Path | None = None
    alt_text: Path | None = None
    allow_outside: bool = False
    max_characters: int | None = MAX_CHARACTERS
    columns: ColumnNames = dataclasses.field(default_factory=ColumnNames)


def is_address(place: str) -> bool:
    """Whether a place is an address for fsspec."""
    return "://" in place


def find_inputs(places: Sequence[str], allow_outside: bool = False) -> list[InputFile]:
    """The files at some places, in the order of the places and then of their names.

    Args:
        places: files, folders, patterns, addresses.
        allow_outside: whether a link in a folder may lead out of it.

    Raises:
        DataError: a place has no file, or a file is given more than once.
        MissingExtraError: an address needs a package that is not installed.
    """
    found = [
        file
        for place in places
        for file in (_remote(place) if is_address(place) else _local(place, allow_outside))
    ]
    paths = Counter(file.address if file.path is None else os.path.abspath(file.path) for file in found)  # noqa: PTH100
    address, times = paths.most_common(1)[0]
    if times > 1:
        raise DataError("is given more than once", where=address, expected="each file of posts once")
    return found


def _local(place: str, allow_outside: bool) -> Iterator[InputFile]:
    path = Path(place)
    if path.is_dir():
        yield from _folder(path, allow_outside)
    elif os.path.lexists(path):
        yield _file(path)
    elif not glob.has_magic(place):
        raise DataError(
            "no such file or folder", where=place, expected="files of posts, folders, patterns or addresses"
        )
    else:
        files = [path for path in _matching(path) if path.is_file()]
        if not files:
            raise DataError("matches no file", where=place, expected="a pattern that matches files of posts")
        yield from map(_file, sorted(files))


def _matching(pattern: Path) -> Iterator[Path]:
    """Paths that match a pattern; names that begin with ``.`` or ``_`` only if the pattern names such.

    ``**`` does not follow links to folders, unlike `glob.glob`, which does not end if they form a loop.
    """
    fixed, rest = _around_magic(pattern.parts)
    folder = Path(*fixed)
    for path in folder.glob(str(Path(*rest))):
        if _hidden(rest) or not _hidden(path.relative_to(folder).parts):
            yield path


def _around_magic(parts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The parts of a pattern before the first with a wildcard, and the others."""
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return parts[:first], parts[first:]


def _folder(folder: Path, allow_outside: bool) -> Iterator[InputFile]:
    found = _below(folder, allow_outside)
    files = sorted(path for path in found if not _hidden(path.relative_to(folder).parts))
    if not files:
        raise DataError(
            "holds no file of posts",
            where=str(folder),
            expected=f"files that end in {', '.join(BY_SUFFIX)}, optionally followed by .gz or .zst",
        )
    for path in files:
        outside = not allow_outside and not lies_in(path, folder)
        yield _file(path, _outside(path) if outside else "")


def _outside(path: Path) -> str:
    what = "folder" if path.is_dir() else "file"
    return f"it is a link out of the folder; copy the {what} there, or allow it with --allow-outside"


def _below(folder: Path, allow_outside: bool) -> Iterator[Path]:
    """Files of posts in a folder and its subfolders; an unreadable subfolder is an error.

    A link to a folder outside is followed if that is allowed, and else yielded itself. A link to a folder
    that is read anyway is not followed, so that no file is read twice, and links that form a loop end.

    Raises:
        DataError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # removed in the meantime
            raise DataError(
                f"cannot be read: {error.strerror}", where=str(error.filename), expected="folders of posts"
            ) from error

    read = {real_path(folder)}
    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        yield from (Path(place, name) for name in names if named_format(name))
        for name in sorted(folders):
            path = Path(place, name)
            if not path.is_symlink():
                continue
            target = real_path(path)
            outside = not any(map(target.is_relative_to, read))
            if outside and allow_outside:
                read.add(target)
                continue
            folders.remove(name)
            if outside:
                yield path


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(_HIDDEN) for part in parts)


def _file(path: Path, refused: str = "") -> InputFile:
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        size = 0
    return InputFile(str(path), size, path, refused)


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there.

    Raises:
        MissingExtraError: fsspec, or a package that it needs for this address, is not installed.
        DataError: the file system does not exist or does not answer.
    """
    fsspec = extra_module("fsspec", "scale", "addresses")
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(
            f"the address needs a package: {error}",
            where=address,
            expected="the package that fsspec names, beside the extra scale",
            do="install it with pip",
        ) from error
    except Exception as error:
        raise DataError(
            f"cannot be reached: {_reason(error)}", where=address, expected="an address that fsspec supports"
        ) from error
    return system, path


@contextmanager
def as_data_error(address: str, what: str = "be reached", do: str = "") -> Iterator[None]:
    """Turn any error of an fsspec file system into a `DataError`: their types are not documented."""
    try:
        yield
    except Exception as error:
        raise DataError(f"cannot {what}: {_reason(error)}", where=address, do=do) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(status := getattr(error, "status", None), int):
        return f"the server answered with the status {status}"
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _remote(place: str) -> Iterator[InputFile]:
    system, path = file_system(place)
    with as_data_error(place):
        if glob.has_magic(path):
            fixed, rest = _around_magic(PurePosixPath(path).parts)
            names = [
                name
                for name in system.glob(path)
                if _hidden(rest) or not _hidden(PurePosixPath(name).parts[len(fixed) :])
            ]
        elif not _is_web_file(place) and system.isdir(path):
            folder = path.rstrip("/")
            names = [
                name
                for name in system.find(path)
                if named_format(name) and not _hidden(PurePosixPath(name[len(folder) :].lstrip("/")).parts)
            ]
        else:
            names = [path]
        sizes = {name: int(system.size(name) or 0) for name in sorted(names)}
    if not sizes:
        raise DataError("holds no file of posts", where=place, expected="a data file")
    yield from (InputFile(system.unstrip_protocol(name), size) for name, size in sizes.items())


def _is_web_file(place: str) -> bool:
    """Whether a web address names a file; asking fsspec whether it is a folder would download all of it."""
    return place.startswith(("http://", "https://")) and named_format(place) is not None


class Rows:
    """The posts and rejected records of some files.

    Args:
        files: as `find_inputs` returns them.
        options: how they are read.

    Attributes:
        total: bytes of all files.

    Raises:
        DataError: the only file, its folder of pictures or its table of alt texts cannot be opened.
    """

    def __init__(self, files: Sequence[InputFile], options: ReadingOptions) -> None:
        self._files, self._options = files, options
        self.total = sum(file.size for file in files)
        self._before = 0
        self._stream: BinaryIO | None = None

    @property
    def position(self) -> int:
        """Approximate number of bytes read so far, since streams read ahead."""
        if self._stream is None or self._stream.closed:
            return self._before
        return self._before + self._stream.tell()

    def __iter__(self) -> Iterator[Post | Rejected]:
        self._before, self._stream = 0, None
        for file in self._files:
            try:
                yield from self._posts(file)
            except DataError as error:
                if len(self._files) == 1 and self._stream is None:
                    raise  # it was never opened
                reason = str(DataError(error.what, expected=error.expected, do=error.do))
                yield Rejected(error.where or file.address, reason, "")
            self._before += file.size
            self._stream = None

    def _posts(self, file: InputFile) -> Iterator[Post | Rejected]:
        if file.refused:
            raise DataError(file.refused, where=file.address)
        if file.path is None:
            yield from self._remote_posts(file)
            return
        yield from open_corpus(file.path, **vars(self._options), opened=self._opened)

    def _opened(self, stream: BinaryIO) -> None:
        self._stream = stream

    def _remote_posts(self, file: InputFile) -> Iterator[Post | Rejected]:
        options, format_ = self._options, named_format(file.address)
        if format_ is None:
            raise DataError(
                "the format is not known",
                where=file.address,
                expected=f"a name that ends in {', '.join(BY_SUFFIX)}",
            )
        attachments = attach(options.images, options.alt_text) if options.images or options.alt_text else None
        system, path = file_system(file.address)
        with as_data_error(file.address, "be opened"):
            remote = _Remote(system.open(path, "rb"), file.address)
        with io.BufferedReader(remote, 1 << 16) as stream:
            self._stream = stream
            folder = None if options.allow_outside else options.images
            try:
                posts = read_table(stream, format_, file.address, Path(), attachments, options.columns)
                posts = map(_without_path, posts) if options.images is None else posts
                yield from checked(posts, folder, options.max_characters)
            except OSError as error:
                raise unreadable(error, file.address) from error


class _Remote(io.RawIOBase):
    """A remote file that raises only `OSError`."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self.name = stream, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._as_os_error(lambda: self._stream.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._as_os_error(lambda: self._stream.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        if not self.closed:
            self._as_os_error(self._stream.close)
        super().close()

    @staticmethod
    def _as_os_error(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError:
            raise
        except Exception as error:
            raise OSError(errno.EIO, f"its file system raised {type(error).__name__}") from error


def _without_path(item: Post | Rejected) -> Post | Rejected:
    """A post of a remote file; a picture given as a path is refused, since it is not on this machine."""
    if isinstance(item, Rejected) or not isinstance(item.image, os.PathLike):
        return item
    reason = "its path is relative to a file that is not on this machine"
    do = "give the pictures with --images, in a column of bytes, or in tar files"
    return dataclasses.replace(item, image=RefusedPicture(item.image, reason, do))
