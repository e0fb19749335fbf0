"""Posts and their pictures inside a tar file, as WebDataset lays them out.

Members that follow one another and have one name up to the first dot are a post: ``7.json`` (the fields of a
post; an ``id`` may be missing, and is then the name), or ``7.txt`` (its text), and a picture such as
``7.jpg``. Nothing is unpacked to disk, and no link is followed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from twofold.corpora.attachments import Attachments
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.jsonl import parse_json, parse_row
from twofold.corpora.lines import MAX_BYTES, decode, rejected
from twofold.errors import DataError, InputError
from twofold.posts import Post, Rejected

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic")
"""Ends of names of pictures."""


def read_tar(
    stream: BinaryIO, name: str, folder: Path, attachments: Attachments | None, columns: ColumnNames
) -> Iterator[Post | Rejected]:
    """Posts in the order of the file. Arguments as of `read_csv`.

    Raises:
        DataError: the file cannot be read to its end.
    """
    groups = groupby(_members(stream, name), key=lambda member: member[0])
    for number, (key, members) in enumerate(groups, start=1):
        origin = f"{name}:{number}"
        sample: dict[str, bytes | None] = {}
        twice: list[str] = []
        for _, kind, data in members:
            twice += [kind] * (kind in sample)
            sample.setdefault(kind, data)
        try:
            if twice:
                raise InputError(
                    f"{key}.{twice[0]} comes twice", where=origin, expected="names of its own for each post"
                )
            row = _row(key, sample, origin)
            yield parse_row(row, origin, folder, attachments, columns)
        except InputError as error:
            yield rejected(error, sample.get("json") or sample.get("txt") or key.encode())


def _members(stream: BinaryIO, name: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Name up to the first dot, the rest of it, and content (None: too long, or no file) of each member."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", errors="backslashreplace") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                path = PurePosixPath(member.name)
                key, _, kind = path.name.partition(".")
                if member.isdir() or not key:
                    continue
                file = tar.extractfile(member) if member.isreg() and member.size <= MAX_BYTES else None
                yield str(path.parent / key), kind.lower(), None if file is None else file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            "cannot be read as a tar file: it is damaged or ends too early",
            where=name,
            expected="a tar file that can be read to its end",
            do="write it again",
        ) from error


def _row(key: str, sample: dict[str, bytes | None], origin: str) -> dict[str, Any]:
    for kind, data in sample.items():
        if data is None:
            size = f"{MAX_BYTES // 2**20} MB"
            raise InputError(f"{key}.{kind} is a link or longer than {size}", where=origin, expected="a file")
    row: dict[str, Any] = {}
    if (raw := sample.get("json")) is not None:
        row = parse_json(raw, origin, "a JSON object", f"{key}.json")
        if not isinstance(row, dict):
            raise InputError(f"{key}.json is no object", where=origin, expected="a JSON object")
    row.setdefault("id", PurePosixPath(key).name)
    if (text := sample.get("txt")) is not None:
        row.setdefault("text", decode(text, origin))
    picture = next((data for kind in PICTURES if (data := sample.get(kind)) is not None), None)
    return row if picture is None else row | {"image": picture}
