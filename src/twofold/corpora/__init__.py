"""Corpora as streams of posts, one reader per format; `open_corpus` is the entry point.

A record that cannot be read is yielded as `Rejected` in its place; the others are still read. It does not
know what the posts are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from twofold.corpora.annotations import WNUT_TYPES, with_merged_mentions
from twofold.corpora.attachments import INDEX, Attachments, attach
from twofold.corpora.column_names import DEFAULT_COLUMNS, ColumnNames
from twofold.corpora.compression import plain_stream
from twofold.corpora.confinement import check_table_inside, confined
from twofold.corpora.conll import read_conll
from twofold.corpora.csv_posts import read_csv
from twofold.corpora.formats import BY_SUFFIX, Format, format_of
from twofold.corpora.json_array import read_json_array
from twofold.corpora.jsonl import parse_post, read_jsonl
from twofold.corpora.label_studio import read_label_studio
from twofold.corpora.lengths import limited
from twofold.corpora.lines import display_path
from twofold.corpora.mnre import read_mnre
from twofold.corpora.parquet_posts import read_parquet
from twofold.corpora.releases import dataset_of, release_of
from twofold.corpora.tar_posts import read_tar
from twofold.corpora.twitter import read_twitter
from twofold.posts import MAX_CHARACTERS, Post, Rejected, with_types
from twofold.reading import open_file

__all__ = [
    "MAX_CHARACTERS",
    "WNUT_TYPES",
    "Attachments",
    "ColumnNames",
    "attach",
    "checked",
    "confined",
    "open_corpus",
    "open_stream",
    "parse_post",
    "read_jsonl",
    "read_table",
]


def open_corpus(
    path: Path | str,
    *,
    images: Path | None = None,
    alt_text: Path | None = None,
    types: Mapping[str, str] | None = None,
    merge_mentions: bool | None = None,
    allow_outside: bool = False,
    max_characters: int | None = MAX_CHARACTERS,
    columns: ColumnNames = DEFAULT_COLUMNS,
    opened: Callable[[BinaryIO], None] = lambda stream: None,
) -> Iterator[Post | Rejected]:
    """Read a data file of any known format, recognised by its name or its content.

    Args:
        path: JSON Lines, CSV or tar, compressed or not, Parquet, a JSON array, IMGID blocks, CoNLL columns,
            MNRE lines or Label Studio tasks.
        images: folder of the pictures, see `attachments`. If it or the table of alternative texts holds
            several data sets, the rows of this file's data set are used, which is identified by the file's
            hash for a known release, else by the name of its folder.
        alt_text: table of alternative texts.
        types: new names of entity types, "" to drop one. By default, WNUT-17's own files are mapped to PER,
            LOC, ORG and MISC; pass ``{}`` to keep their six types.
        merge_mentions: whether to drop entities that are a lone "@" before the entity of the name;
            None: only in the Broad Twitter Corpus' own files.
        allow_outside: whether pictures may lie outside ``images`` (without it, outside the file's folder),
            and a table in it may be a link to a file outside. Allow it only for data that you trust.
        max_characters: longest post; a longer one is rejected. None for no limit.
        columns: which column of a table, or key of JSON Lines, holds which field of a post.
        opened: called with the open file, whose position shows how far it was read (not for corpus formats).

    Returns:
        Posts and rejected records in the order of the file, read lazily.

    Raises:
        DataError: file, folder or table is missing or invalid (raised at once, not while iterating).
    """
    path = Path(path)
    format_ = format_of(path)
    release = None if format_ in BY_SUFFIX.values() else release_of(path)
    if images is not None and not allow_outside:
        check_table_inside(images / INDEX, images)
    attachments = attach(images, alt_text, dataset_of(path, release))
    dataset = release.dataset if release else ""
    merge_mentions = dataset == "btc" if merge_mentions is None else merge_mentions
    types = WNUT_TYPES if types is None and dataset == "wnut17" else types or {}
    posts = _with_conventions(_read(path, format_, attachments, columns, opened), types, merge_mentions)
    return checked(posts, None if allow_outside else images or path.parent, max_characters)


def checked(
    posts: Iterator[Post | Rejected], folder: Path | None, max_characters: int | None
) -> Iterator[Post | Rejected]:
    """Posts of at most ``max_characters``, with pictures confined to a folder (None: no limit)."""
    posts = posts if folder is None else confined(posts, folder)
    return posts if max_characters is None else limited(posts, max_characters)


def _with_conventions(
    posts: Iterator[Post | Rejected], types: Mapping[str, str], merge_mentions: bool
) -> Iterator[Post | Rejected]:
    """Posts with mentions merged and types renamed."""
    for post in posts:
        if isinstance(post, Post) and merge_mentions:
            post = with_merged_mentions(post)
        yield with_types(post, types) if isinstance(post, Post) and types else post


def _read(
    path: Path,
    format_: Format,
    attachments: Attachments,
    columns: ColumnNames,
    opened: Callable[[BinaryIO], None],
) -> Iterator[Post | Rejected]:
    if format_ in BY_SUFFIX.values():
        name = display_path(path)
        return _while_open(
            path,
            opened,
            lambda stream: read_table(stream, format_, name, path.parent, attachments, columns),
        )
    if format_ == "imgid":
        return read_twitter(path, attachments)
    if format_ == "mnre":
        return read_mnre(path, attachments)
    if format_ == "label-studio":
        return read_label_studio(path, attachments)
    if format_ == "json-array":
        return read_json_array(path, attachments, columns)
    return read_conll(path, attachments)


def _while_open(
    path: Path,
    opened: Callable[[BinaryIO], None],
    read: Callable[[BinaryIO], Iterator[Post | Rejected]],
) -> Iterator[Post | Rejected]:
    with open_file(path) as stream:
        opened(stream)
        yield from read(stream)


def read_table(
    stream: BinaryIO,
    format_: Format,
    name: str,
    folder: Path,
    attachments: Attachments | None = None,
    columns: ColumnNames = DEFAULT_COLUMNS,
) -> Iterator[Post | Rejected]:
    """Read JSON Lines, CSV, Parquet or tar from an open file, compressed or not; pictures are not confined.

    Args:
        stream: a seekable binary file.
        format_: one of `formats.BY_SUFFIX`.
        name: of the file, for messages.
        folder: folder that paths of pictures are relative to.
        attachments: where pictures and alternative texts are.
        columns: which column or key holds which field of a post.

    Raises:
        DataError: (while iterating) a column is missing, or the file cannot be read to its end.
        MissingExtraError: the package that reads the format is not installed.
    """
    if format_ == "parquet":
        return read_parquet(stream, name, folder, attachments, columns)
    plain = plain_stream(stream, name)
    if format_ == "jsonl":
        return read_jsonl(plain, attachments, name, columns, folder)
    read = read_csv if format_ == "csv" else read_tar
    return read(plain, name, folder, attachments, columns)


def open_stream(
    stream: BinaryIO,
    *,
    images: Path | None = None,
    alt_text: Path | None = None,
    allow_outside: bool = False,
    max_characters: int | None = MAX_CHARACTERS,
    columns: ColumnNames = DEFAULT_COLUMNS,
) -> Iterator[Post | Rejected]:
    """Read JSON Lines from a stream such as standard input.

    Args:
        stream: read lazily.
        images: folder of the pictures; without it their paths are relative to the working folder.
        alt_text: table of alternative texts.
        allow_outside: as in `open_corpus`, and so are max_characters and columns.

    Raises:
        DataError: folder or table is missing or invalid (raised at once, not while iterating).
    """
    if images is not None and not allow_outside:
        check_table_inside(images / INDEX, images)
    posts = read_jsonl(stream, attach(images, alt_text) if images or alt_text else None, "", columns)
    return checked(posts, None if allow_outside else images or Path(), max_characters)
