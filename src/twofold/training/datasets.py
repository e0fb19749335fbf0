"""The posts of the files of a training, and what could not be read of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twofold.config import DataConfig
from twofold.corpora import open_corpus
from twofold.corpora.releases import release_of
from twofold.errors import DataError
from twofold.posts import Post, Rejected


@dataclass(frozen=True, slots=True)
class Corpus:
    """One file.

    Attributes:
        name: "folder/file".
        posts: labelled posts.
        rejected: records that could not be read.
        sha256: of the file's bytes.
        release: which known release it is; "" for none.
    """

    name: str
    posts: list[Post]
    rejected: list[Rejected]
    sha256: str
    release: str


def read_corpora(files: Sequence[str], data: DataConfig, gold: str = "entities") -> list[Corpus]:
    """Read labelled files.

    Args:
        files: paths.
        data: where pictures and alternative texts are.
        gold: field of `Post` with the gold labels.

    Raises:
        DataError: a file is missing, holds no labelled post, or is named twice.
    """
    if len(set(files)) < len(files):
        raise DataError(f"a file is named twice among {', '.join(files)}", expected="each file once")
    return [_read(Path(file), data, gold) for file in files]


def _read(path: Path, data: DataConfig, gold: str) -> Corpus:
    images = Path(data.images) if data.images else None
    alt_text = Path(data.alt_text) if data.alt_text else None
    posts: list[Post] = []
    rejected: list[Rejected] = []
    for record in open_corpus(path, images=images, alt_text=alt_text, allow_outside=data.allow_outside):
        if isinstance(record, Rejected):
            rejected.append(record)
        elif getattr(record, gold) is not None:
            posts.append(record)
    if not posts:
        raise DataError(
            "no labelled post in it",
            where=str(path),
            expected=f"posts with {gold}",
            do="see what `twofold data check` says of it",
        )
    release = release_of(path)
    named = f"{release.title} {release.split}, {release.labels}" if release else ""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Corpus(f"{path.parent.name}/{path.name}", posts, rejected, digest, named)
