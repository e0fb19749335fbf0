"""Corpora as streams of posts, one reader a format; `open_corpus` is the way in.

A record that cannot be read comes out as `Rejected` in its place and never stops the others. It does
not know what the posts are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from twofold.corpora.annotations import WNUT_TYPES, with_merged_mentions
from twofold.corpora.attachments import INDEX, Attachments, attach
from twofold.corpora.column_names import AS_THEY_ARE, ColumnNames
from twofold.corpora.compression import plain_stream
from twofold.corpora.confinement import check_table_inside, confined
from twofold.corpora.conll import read_conll
from twofold.corpora.csv_posts import read_csv
from twofold.corpora.formats import BY_SUFFIX, Format, format_of
from twofold.corpora.json_array import read_json_array
from twofold.corpora.jsonl import parse_post, read_jsonl
from twofold.corpora.label_studio import read_label_studio
from twofold.corpora.lengths import limited
from twofold.corpora.lines import shown
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
    columns: ColumnNames = AS_THEY_ARE,
    opened: Callable[[BinaryIO], None] = lambda stream: None,
) -> Iterator[Post | Rejected]:
    """Read a data file of any known format, recognised by its name or its content.

    Args:
        path: JSON Lines, CSV or tar, compressed or not, Parquet, an array of JSON, IMGID blocks, CoNLL
            columns, MNRE lines or tasks of Label Studio.
        images: folder of the pictures, see `attachments`. Where it or the table of alternative texts
            holds several data sets, the rows of this file's are used: by the file's hash if it is a
            known release, else by the name of its folder.
        alt_text: table of alternative texts.
        types: new names of entity types, "" to drop one; WNUT-17's own files are mapped to PER,
            LOC, ORG, MISC without asking, pass ``{}`` to keep their six types.
        merge_mentions: whether to leave out entities that are a lone "@" before the entity of the name;
            None: in the Broad Twitter Corpus' own files.
        allow_outside: whether pictures may lie outside ``images`` (without it, outside the file's folder),
            and a table in it may be a link that leads out. Say so only of data that you trust.
        max_characters: longest post; a longer one is rejected. None for no limit.
        columns: which columns of a table, or keys of JSON Lines, are which fields of a post.
        opened: takes the open file, whose position tells how far it was read (not that of a corpus format).

    Returns:
        Posts and rejected records in the order of the file, read as they are asked for.

    Raises:
        DataError: file, folder or table is missing or not what it should be (at once, not later).
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
    posts = _annotated(_read(path, format_, attachments, columns, opened), types, merge_mentions)
    return checked(posts, None if allow_outside else images or path.parent, max_characters)


def checked(
    posts: Iterator[Post | Rejected], folder: Path | None, most: int | None
) -> Iterator[Post | Rejected]:
    """Posts of at most ``most`` characters, their pictures confined to a folder (None for any)."""
    posts = posts if folder is None else confined(posts, folder)
    return posts if most is None else limited(posts, most)


def _annotated(
    posts: Iterator[Post | Rejected], types: Mapping[str, str], merge_mentions: bool
) -> Iterator[Post | Rejected]:
    """Posts by other rules of annotation."""
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
        name = shown(path)
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
    columns: ColumnNames = AS_THEY_ARE,
) -> Iterator[Post | Rejected]:
    """Read JSON Lines, CSV, Parquet or tar from an open file, compressed or not; pictures are not confined.

    Args:
        stream: a file that can be read from its beginning again.
        format_: one of `formats.BY_SUFFIX`.
        name: how messages call it.
        folder: what paths of pictures are relative to.
        attachments: where pictures and alternative texts are.
        columns: which columns or keys are which fields of a post.

    Raises:
        DataError: (while iterating) a column is missing, or the file cannot be read to its end.
        MissingExtraError: likewise, what reads it is not installed.
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
    columns: ColumnNames = AS_THEY_ARE,
) -> Iterator[Post | Rejected]:
    """Read JSON Lines from a stream such as standard input.

    Args:
        stream: read as posts are asked for.
        images: folder of the pictures; without it their paths are relative to the working folder.
        alt_text: table of alternative texts.
        allow_outside: as of `open_corpus`, and so are max_characters and columns.

    Raises:
        DataError: folder or table is missing or not what it should be (at once, not later).
    """
    if images is not None and not allow_outside:
        check_table_inside(images / INDEX, images)
    posts = read_jsonl(stream, attach(images, alt_text) if images or alt_text else None, "", columns)
    return checked(posts, None if allow_outside else images or Path(), max_characters)
