"""Pictures and alternative texts that come with a corpus, looked up by the picture's file name.

A folder of pictures holds ``<name>``, or ``<data set>/<name>``, or an ``index.tsv`` with the columns
dataset, image, photo, whose rows name files in ``photos/``. Alternative texts are a TSV with the
columns dataset, image, caption or image, caption. It does not open pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from twofold.corpora.lines import decode, read_lines, unreadable
from twofold.errors import DataError, InputError
from twofold.reading import open_file

_ALT_TEXT_COLUMNS = ("image", "caption")
INDEX = "index.tsv"
"""Table in a folder of pictures."""
_INDEX_COLUMNS = ("image", "photo")


@dataclass(frozen=True, slots=True)
class Attachments:
    """Pictures and alternative texts of a corpus.

    Attributes:
        images: folder of the pictures; None where none was given.
        photos: file by picture name, if the folder has an index; a name that is not in it has no picture.
            None without an index: every name is then a file of the folder, whether it exists or not.
        captions: alternative text by picture name.
    """

    images: Path | None = None
    photos: Mapping[str, Path] | None = None
    captions: Mapping[str, str] = field(default_factory=dict)

    def picture(self, name: str) -> Path | None:
        """Path of the picture of this name, which need not exist; None if the corpus has none."""
        if self.photos is not None:
            return self.photos.get(name)
        return self.images / name if self.images is not None else None

    def alt_text(self, name: str) -> str | None:
        """The alternative text of the picture of this name; None if there is none or it is blank."""
        return self.captions.get(name, "").strip() or None


def attach(images: Path | None, alt_text: Path | None, dataset: str | None = None) -> Attachments:
    """Look up the pictures and alternative texts of a corpus.

    Args:
        images: folder of pictures.
        alt_text: table of alternative texts.
        dataset: short name such as "twitter2015": whose rows to use if a table has several data sets;
            None, or one that the table does not have, to use the rows of all.

    Raises:
        DataError: folder or table is missing, or the table is invalid.
    """
    captions = {} if alt_text is None else _table(alt_text, _ALT_TEXT_COLUMNS, dataset)
    if images is None:
        return Attachments(captions=captions)
    check_folder(images)
    index = images / INDEX
    if _has_columns(index, _INDEX_COLUMNS):
        rows = _table(index, _INDEX_COLUMNS, dataset)
        return Attachments(images, {k: images / "photos" / v for k, v in rows.items()}, captions)
    if dataset and (images / dataset).is_dir():
        images = images / dataset
    return Attachments(images, None, captions)


def check_folder(images: Path) -> None:
    """Check that there is a folder of pictures.

    Raises:
        DataError: there is none.
    """
    if not images.is_dir():
        raise DataError("no such folder", where=str(images), expected="a folder of pictures")


def _has_columns(path: Path, names: tuple[str, str]) -> bool:
    if not path.is_file():
        return False
    with _opened(path) as stream:
        return set(names) <= set(stream.readline(1000).decode("utf-8-sig", "replace").strip().split("\t"))


def _table(path: Path, names: tuple[str, str], dataset: str | None) -> dict[str, str]:
    """Value by key, from the data set's own rows if it has any, else from all."""
    rows = list(_rows(path))
    where, key, value = _columns(path, rows[0] if rows else [], names)
    has_header = bool(rows) and set(names) <= set(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) <= max(where, key, value):
            _raise_short(path, number, row, names)
    own = [row for row in rows if where >= 0 and row[where] == dataset]
    return {row[key]: row[value] for row in own or rows[has_header:]}


def _rows(path: Path) -> Iterator[list[str]]:
    if not path.is_file():
        raise DataError("no such file", where=str(path), expected="a table with a TAB between columns")
    with _opened(path) as stream:
        for line in read_lines(stream):
            try:
                yield decode(line.data, f"{path}:{line.number}").split("\t")
            except InputError as error:
                raise DataError(
                    error.what, where=error.where, expected=error.expected, do=error.do
                ) from error


def _opened(path: Path) -> BinaryIO:
    try:
        return open_file(path)
    except OSError as error:
        raise unreadable(error, str(path)) from error


def _columns(path: Path, first: list[str], names: tuple[str, str]) -> tuple[int, int, int]:
    """Positions of dataset (−1: none), key and value."""
    if set(names) <= set(first):
        dataset = first.index("dataset") if "dataset" in first else -1
        return dataset, first.index(names[0]), first.index(names[1])
    if len(first) == 2:
        return -1, 0, 1
    raise DataError(
        f"the first line has {len(first)} columns and is not a header row",
        where=f"{path}:1",
        expected=f"the columns {names[0]} and {names[1]} (and dataset, if there are several)",
        do="add a header row, with a TAB between columns",
    )


def _raise_short(path: Path, number: int, row: list[str], names: tuple[str, str]) -> None:
    raise DataError(
        f"the row has {len(row)} column{'s' if len(row) != 1 else ''}",
        where=f"{path}:{number}",
        expected=f"{names[0]} and {names[1]} with a TAB between",
    )
