"""The format of a data file, recognised by its name or its first lines. It reads no further."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from twofold.corpora.bio import is_tag
from twofold.corpora.columns import columns_of, tag_of
from twofold.corpora.compression import SUFFIXES, is_compressed
from twofold.errors import DataError
from twofold.reading import open_file, real_path

Format = Literal["imgid", "conll", "jsonl", "mnre", "csv", "parquet", "tar", "label-studio", "json-array"]
FORMATS: tuple[Format, ...] = ("jsonl", "imgid", "conll", "mnre")
"""Formats that posts can be converted to."""
BY_SUFFIX: Mapping[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".tar": "tar",
}  # fmt: skip
"""Formats recognised by the suffix of the file's name; a suffix of a compression may follow."""

_READ_BYTES = 1 << 16
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"{\0", b"\0{")
_COMPRESSED = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf")
_BINARY = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"SQLite format", b"\xd0\xcf\x11\xe0")
_MNRE = re.compile(rb"\{\s*(?:'|\"(?:token|h|t|img_id|relation)\"\s*:.*\"(?:img_id|relation|token)\")")
_PARQUET = b"PAR1"
_LABEL_STUDIO = re.compile(
    rb"\s*\[\s*\{.*?\"(?:annotations\"\s*:|predictions\"\s*:|data\"\s*:\s*\{)", re.DOTALL
)
_ARRAY = re.compile(rb"\s*\[\s*[{\]]")
_KNOWN = (
    "JSON Lines, a JSON array, IMGID blocks (Twitter-2015/2017), CoNLL columns, MNRE lines or Label Studio "
    "tasks"
)


def format_of(path: Path) -> Format:
    """The format of a file; an empty file counts as JSON Lines.

    Raises:
        DataError: there is no such file, or it has none of the known formats.
    """
    beginning = _beginning(path)
    by_name = named_format(path.name)
    if beginning.startswith(_PARQUET) or (by_name == "parquet" and beginning):
        return "parquet"
    if by_name is not None:
        return by_name
    if is_compressed(beginning):
        raise DataError(
            "is compressed, and its name does not say what it holds",
            where=str(path),
            expected=f"a name that ends with {', '.join(BY_SUFFIX)}, and then {' or '.join(SUFFIXES)}",
            do="rename it, or unpack it",
        )
    beginning = beginning.removeprefix(b"\xef\xbb\xbf")
    if _ARRAY.match(beginning):
        return "label-studio" if _LABEL_STUDIO.match(beginning) else "json-array"
    lines = [line for line in beginning.split(b"\n") if line.strip()]
    for line in lines[:20]:
        if found := _format_of_line(line.strip(b"\r")):
            return found
    if not lines:
        return "jsonl"
    raise DataError(
        "the format is not known",
        where=str(path),
        expected=_KNOWN,
        do='if it holds plain texts, write each as a line {"id": 1, "text": "…"}',
    )


def named_format(name: str) -> Format | None:
    """The format that a file's name states, before the suffix of a compression; None if it states none."""
    name = name.lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return BY_SUFFIX.get("." + name.rpartition(".")[2]) if "." in name else None


def _format_of_line(line: bytes) -> Format | None:
    if line.startswith(b"IMGID:") and b"\t" not in line:
        return "imgid"
    if line.lstrip().startswith(b"{"):
        if _MNRE.match(line.lstrip()):
            return "mnre"
        if line.rstrip().endswith(b"}") or len(line) >= _READ_BYTES // 2:
            return "jsonl"
    columns = columns_of(line.decode("utf-8", "replace"))
    return "conll" if len(columns) > 1 and columns[0] and is_tag(tag_of(columns)) else None


def _beginning(path: Path) -> bytes:
    try:
        _check_kind(path)
        with open_file(path) as stream:
            beginning = stream.read(_READ_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have such a name"
        raise DataError(
            f"cannot be opened: {reason}", where=str(path)[:200], expected="a data file", do="check the path"
        ) from error
    if beginning.startswith(_WIDE) and named_format(path.name) != "tar":
        raise DataError("is UTF-16 or UTF-32", where=str(path), expected="UTF-8", do="save it as UTF-8")
    if beginning.startswith(_COMPRESSED):
        raise DataError("is compressed", where=str(path), expected="plain text", do="unpack it first")
    if beginning.startswith(_BINARY):
        raise DataError("is not text", where=str(path), expected=_KNOWN)
    return beginning


def _check_kind(path: Path) -> None:
    """Raise DataError for what is not a file; `open_file` would raise OSError."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise DataError("a folder", where=str(path), expected="a data file", do="give one of its files")
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        raise DataError(
            "is a pipe, and a data file is read more than once",
            where=str(path),
            expected="a data file",
            do="save it to a file first; `twofold extract` reads JSON Lines from a pipe as its only input",
        )
    if not stat.S_ISREG(mode) and real_path(path) != Path(os.devnull):
        raise DataError("is a device", where=str(path), expected="a data file")
