"""A data file as an iterable of posts that can be read repeatedly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twofold.corpora import open_corpus
from twofold.corpora.column_names import DEFAULT_COLUMNS, ColumnNames
from twofold.corpora.releases import release_of
from twofold.posts import MAX_CHARACTERS, Post, Rejected


@dataclass(frozen=True)
class PostFile:
    """Posts and rejected records of a data file, in its order; `read_posts` creates one.

    Attributes:
        path: the data file.
        images: folder of the pictures; None for that of the file.
        alt_text: table of alternative texts.
        types: new names of entity types, "" to drop one.
        allow_outside: whether pictures may lie outside their folder.
        max_characters: longest post; a longer one is rejected. None for no limit.
        columns: which column of a table, or key of JSON Lines, holds which field of a post.
    """

    path: Path
    images: Path | None = None
    alt_text: Path | None = None
    types: Mapping[str, str] | None = None
    allow_outside: bool = False
    max_characters: int | None = MAX_CHARACTERS
    columns: ColumnNames = DEFAULT_COLUMNS

    def __iter__(self) -> Iterator[Post | Rejected]:
        """Read the file from its beginning."""
        return open_corpus(
            self.path,
            images=self.images,
            alt_text=self.alt_text,
            types=self.types,
            allow_outside=self.allow_outside,
            max_characters=self.max_characters,
            columns=self.columns,
        )

    @property
    def title(self) -> str:
        """Name of the published release, or of the file."""
        release = release_of(self.path)
        return f"{release.title} {release.split}" if release else self.path.name


def path_of(posts: object) -> str:
    """Path of the file that posts come from; "" for other posts."""
    return str(posts.path) if isinstance(posts, PostFile) else ""


def read_posts(
    path: Path | str,
    *,
    images: Path | str | None = None,
    alt_text: Path | str | None = None,
    types: Mapping[str, str] | None = None,
    allow_outside: bool = False,
    max_characters: int | None = MAX_CHARACTERS,
    columns: Mapping[str, str] | None = None,
    number_rows: bool = False,
) -> PostFile:
    """Read a data file of any format that Twofold knows, recognised by its name or its content.

    Args:
        path: JSON Lines, CSV or tar, compressed or not, Parquet, a JSON array, Label Studio tasks, IMGID
            blocks, CoNLL columns or MNRE lines.
        images: folder of the pictures; None for that of the file.
        alt_text: table of alternative texts: columns image and caption, separated by tabs.
        types: new names of entity types, "" to drop one. By default, WNUT-17's own files are mapped to PER,
            LOC, ORG and MISC; ``{}`` keeps their six types.
        allow_outside: whether pictures may lie outside ``images``; only for data that you trust.
        max_characters: longest post; a longer one is rejected. None for no limit.
        columns: column of a table, or key of JSON Lines, of each field that has another name there:
            ``{"id": "tweet_id"}``.
        number_rows: whether a row without an id gets the id ``FILE:ROW``.

    Returns:
        Posts and rejected records, read lazily; each iteration reads the file again. `Extractor.extract`
        accepts them with ``on_error="reject"``.

    Raises:
        DataError: file, folder or table is missing or invalid.
        ConfigError: `columns` names no field of a post.
    """
    names = ColumnNames(columns or {}, number_rows=number_rows)
    folder, table = (Path(x) if x is not None else None for x in (images, alt_text))
    file = PostFile(Path(path), folder, table, types, allow_outside, max_characters, names)
    iter(file)  # raises now if something cannot be opened; reads no post
    return file


def name_of(path: Path) -> str:
    """Name of a file in logs and model cards: "folder/file"."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name
