"""Check a data set before trusting a score on it.

Release and version of the labels by hash, counts per split, invalid BIO labels, entities that begin or end
inside a word or overlap, repeated texts within and across splits, records and pictures that cannot be read.
It changes nothing and does not know whether labels are correct.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from twofold.corpora import open_corpus
from twofold.corpora.bio import Scheme
from twofold.corpora.column_names import DEFAULT_COLUMNS, ColumnNames
from twofold.corpora.columns import count_empty_tokens, scheme_of
from twofold.corpora.confinement import lies_in
from twofold.corpora.formats import Format, format_of
from twofold.corpora.overlap import Digest, text_digest
from twofold.corpora.releases import (
    ContentDigest,
    Release,
    md5_of,
    note_of,
    release_of,
)
from twofold.corpora.results import NOT_LABELS, TO_LABELS, holds_results
from twofold.errors import DataError, PictureError
from twofold.posts import Entity, Image, Post, Rejected
from twofold.preprocessing.segmentation import Span, segment_post

MAX_EXAMPLES = 5
"""Number of examples of each finding in a report, besides the full count."""

_UNUSUAL = {
    "replacement characters (U+FFFD)": re.compile("\ufffd"),
    "C1 control characters": re.compile("[\x80-\x9f]"),
    "zero-width and bidirectional characters": re.compile(
        "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    ),
    "NUL and other C0 control characters": re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"),
}


@dataclass(slots=True)
class Finding:
    """One kind of problem: how often it occurs, and the first examples.

    Attributes:
        count: number of occurrences.
        examples: the first few, each "file name:line: what".
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str, keep: int = MAX_EXAMPLES) -> None:
        """Count one more; keep its example if there are fewer than ``keep``."""
        self.count += 1
        if len(self.examples) < keep:
            self.examples.append(example)


@dataclass(slots=True)
class PictureFindings:
    """Pictures of a split.

    Attributes:
        named: distinct pictures that posts name.
        posts: posts with a picture to open; an unreadable one counts.
        readable: pictures that could be decoded; files count once, pictures given as bytes once per post.
        unreadable: "name: reason" of each that could not.
    """

    named: int = 0
    posts: int = 0
    readable: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class SplitReport:
    """Findings on one file.

    Attributes:
        path: the file.
        format: its format, one of `twofold.corpora.formats`, such as jsonl or imgid.
        md5: of the file.
        release: known release with exactly these bytes; None if there is none.
        note: more on its origin; may be empty.
        scheme: of the tags, IOB1 or BIO (BIOES and BILOU count as BIO); None for formats without tags.
        posts: records read.
        labelled: posts with labels, including those labelled as having no entity or relation.
        tokens: tokens of the posts that are tokenized.
        entities: spans by lenient counting (conlleval).
        entities_strict: spans whose run begins with ``B-``.
        types: spans by type, lenient.
        types_strict: spans by type, strict.
        relations: relations by type.
        head_first: of these, those whose head comes before its tail in the text.
        alt_texts: posts with an alternative text.
        pictures: findings on the pictures.
        rejected: records that could not be read.
        ill_formed: entities whose tags begin with ``I-`` in a file that is not IOB1.
        misaligned: entities that do not begin and end at word boundaries, mostly inside a word: no
            prediction can match them, since predicted entities consist of whole words.
        overlapping: entities that overlap an earlier one of their post: a word has only one tag, so that a
            training learns one of them at most.
        duplicates: posts whose text occurred earlier in this file (with the same pair, for relations).
        unusual: characters and tokens that careless parsers get wrong, by kind.
        empty_tokens: lines of a column file without a token, outside entities; they are left out.
    """

    path: str
    format: Format
    md5: str
    release: Release | None
    note: str = ""
    scheme: Scheme | None = None
    posts: int = 0
    labelled: int = 0
    tokens: int = 0
    entities: int = 0
    entities_strict: int = 0
    types: Counter[str] = field(default_factory=Counter)
    types_strict: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)
    head_first: Counter[str] = field(default_factory=Counter)
    alt_texts: int = 0
    pictures: PictureFindings = field(default_factory=PictureFindings)
    rejected: Finding = field(default_factory=Finding)
    ill_formed: Finding = field(default_factory=Finding)
    misaligned: Finding = field(default_factory=Finding)
    overlapping: Finding = field(default_factory=Finding)
    duplicates: Finding = field(default_factory=Finding)
    unusual: Counter[str] = field(default_factory=Counter)
    empty_tokens: int = 0

    @property
    def loses_data(self) -> bool:
        """Whether a record or a picture of it cannot be used."""
        return bool(self.rejected.count or self.pictures.unreadable)


@dataclass(slots=True)
class CheckReport:
    """All files that were checked.

    Attributes:
        splits: one per file, in the order given, and within a folder by name.
        shared_texts: texts that two files have in common, by "a and b".
        alike_texts: texts of two files that are equal except for case, URLs, mentions, marks and white space
            (see `overlap`), including `shared_texts`.
        ambiguous: surface forms with more than one entity type, over all files.
        skipped: "file: reason" of files in the folder that are not data files.
    """

    splits: list[SplitReport]
    shared_texts: dict[str, Finding]
    alike_texts: dict[str, Finding]
    ambiguous: Finding
    skipped: list[str]

    @property
    def exit_code(self) -> int:
        """0: everything can be used, 1: some of it cannot, 2: nothing could be read."""
        if not any(split.posts for split in self.splits):
            return 2
        return int(any(split.loses_data for split in self.splits))


def check(
    *paths: Path,
    images: Path | None = None,
    alt_text: Path | None = None,
    allow_outside: bool = False,
    columns: ColumnNames = DEFAULT_COLUMNS,
    tick: Callable[[str, int], None] = lambda name, posts: None,
) -> CheckReport:
    """Check files, or every data file in a folder (its splits).

    Args:
        paths: files and folders; their texts are compared with each other.
        images: folder of the pictures; without it only pictures with a path or bytes in the post are opened.
        alt_text: table of alternative texts.
        allow_outside: as in `open_corpus`, and so is columns.
        tick: called regularly with the file's name and the number of posts read so far.

    Raises:
        DataError: there is nothing to check, or a file or table is invalid.
    """
    files, skipped = data_files(*paths)
    surfaces: dict[str, set[str]] = defaultdict(set)
    checkers = [_Checker(file, surfaces) for file in files]
    for checker in checkers:
        checker.read(
            open_corpus(
                checker.path,
                images=images,
                alt_text=alt_text,
                types={},
                merge_mentions=False,
                allow_outside=allow_outside,
                columns=columns,
            ),
            tick,
        )
    return CheckReport(
        [checker.report for checker in checkers],
        _shared_texts({_name(x.path, files): x.texts for x in checkers}),
        _shared_texts({_name(x.path, files): x.normalised for x in checkers}),
        _ambiguous(surfaces),
        skipped,
    )


def _name(path: Path, files: Sequence[Path]) -> str:
    """Name of a file, with its folder if the files come from several folders."""
    several = len({file.parent for file in files}) > 1
    return f"{path.parent.name}/{path.name}" if several else path.name


def data_files(*paths: Path) -> tuple[list[Path], list[str]]:
    """Data files among the paths and in their folders, and "name: reason" of the files skipped there.

    Raises:
        DataError: one of the paths has none.
    """
    found = [_data_files(path) for path in paths]
    files = list(dict.fromkeys(file for files, _ in found for file in files))
    return files, [name for _, skipped in found for name in skipped]


def _data_files(path: Path) -> tuple[list[Path], list[str]]:
    if not path.is_dir():
        format_of(path)
        return [path], []
    files, skipped = list[Path](), list[str]()
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        if not lies_in(file, path):
            skipped.append(f"{file.name}: a link out of the folder")
            continue
        try:
            format_of(file)
            files.append(file)
        except DataError as error:
            skipped.append(f"{file.name}: {error.what}")
    if not files:
        raise DataError(
            "no data file in the folder",
            where=str(path),
            expected="the files of one data set, its splits",
            do="give a file, or the folder that holds them itself (sub-folders are not entered)",
        )
    return files, skipped


class _Checker:
    """Reads one file once and keeps counts, and digests of the texts."""

    def __init__(self, path: Path, surfaces: dict[str, set[str]]) -> None:
        self.path = path
        self.report = SplitReport(str(path), format_of(path), md5_of(path), release_of(path))
        if self.report.format in ("imgid", "conll"):
            self.report.scheme = scheme_of(path)
        if self.report.format == "conll":
            self.report.empty_tokens = count_empty_tokens(path)
        self.texts: dict[Digest, str] = {}
        self.normalised: dict[Digest, str] = {}
        self._surfaces = surfaces
        self._seen: set[Digest] = set()
        self._opened: set[Path] = set()
        self._named: set[str] = set()
        self._content = ContentDigest()

    def read(self, items: Iterable[Post | Rejected], tick: Callable[[str, int], None]) -> None:
        """Count everything in the file."""
        for i, item in enumerate(items):
            if i % 100 == 0:
                tick(self.path.name, i)
            if isinstance(item, Rejected):
                self.report.rejected.add(f"{_short(item.origin)}: {item.reason}")
            else:
                self._count(item)
        report = self.report
        report.pictures.named = len(self._named)
        report.note = "" if report.release else note_of(self._content)
        if report.posts and not report.labelled and holds_results(self.path):
            report.note = f"{NOT_LABELS}: {TO_LABELS}"

    def _count(self, post: Post) -> None:
        report = self.report
        report.posts += 1
        self._content.add(post)
        report.tokens += len(post.tokens or ())
        report.alt_texts += post.alt_text is not None
        for relation in post.relations or ():
            report.relations[relation.type] += 1
            report.head_first[relation.type] += relation.head.start < relation.tail.start
        report.labelled += post.entities is not None or post.relations is not None
        for entity in post.entities or ():
            self._count_entity(entity, post)
        self._count_misaligned(post)
        self._count_overlapping(post)
        self._count_text(post)
        self._count_unusual(post)
        self._count_picture(post)

    def _count_entity(self, entity: Entity, post: Post) -> None:
        report = self.report
        report.entities += 1
        report.types[entity.type] += 1
        self._surfaces[entity.text].add(entity.type)
        if entity.well_formed:
            report.entities_strict += 1
            report.types_strict[entity.type] += 1
        else:
            report.ill_formed.add(f"{_location(post, entity, report.format)}: {entity.text!r} begins with I-")

    def _count_misaligned(self, post: Post) -> None:
        if not post.entities:
            return
        words = segment_post(post)
        starts, ends = {start for start, _ in words}, {end for _, end in words}
        for entity in post.entities:
            if entity.start not in starts or entity.end not in ends:
                around = _with_whole_words(entity, words, post.text)
                self.report.misaligned.add(f"{_short(post.origin)}: {entity.text!r} in {around!r}")

    def _count_overlapping(self, post: Post) -> None:
        last: Entity | None = None  # of the earlier ones, the one that ends last
        for entity in sorted(post.entities or (), key=lambda entity: (entity.start, entity.end)):
            if last is not None and entity.start < last.end:
                one, other = (f"{item.text!r} ({item.type})" for item in (entity, last))
                self.report.overlapping.add(f"{_short(post.origin)}: {one} overlaps {other}")
            if last is None or entity.end > last.end:
                last = entity

    def _count_text(self, post: Post) -> None:
        if not post.text:
            return
        text = _digest(post.text)
        self.texts.setdefault(text, _short(post.origin))
        if normalised := text_digest(post.text):
            self.normalised.setdefault(normalised, _short(post.origin))
        pairs = [(r.head.start, r.head.end, r.tail.start, r.tail.end) for r in post.relations or ()]
        whole = _digest(f"{post.text}\n{pairs}") if pairs else text
        if whole in self._seen:
            line = self.texts[text].rpartition(":")[2]
            self.report.duplicates.add(f"{_short(post.origin)}: same text as line {line}")
        self._seen.add(whole)

    def _count_unusual(self, post: Post) -> None:
        unusual = self.report.unusual
        if not post.text.isprintable():
            for kind, pattern in _UNUSUAL.items():
                if found := len(pattern.findall(post.text)):
                    unusual[kind] += found
        elif "\ufffd" in post.text:
            unusual["replacement characters (U+FFFD)"] += post.text.count("\ufffd")
        if blank := sum(post.text[start:end].isspace() for start, end in post.tokens or ()):
            unusual["tokens of white space only"] += blank

    def _count_picture(self, post: Post) -> None:
        if name := _picture_name(post, self.report.format):
            self._named.add(name)
        if post.image is None:
            return
        self.report.pictures.posts += 1
        if isinstance(post.image, Path):
            if post.image in self._opened:
                return
            self._opened.add(post.image)
        self._open(post.image, post)

    def _open(self, image: Image, post: Post) -> None:
        from twofold.preprocessing.images import PictureSettings, read_picture

        pictures = self.report.pictures
        try:
            read_picture(image, PictureSettings())
            pictures.readable += 1
        except PictureError as error:
            name = image.name if isinstance(image, Path) else f"picture in {_short(post.origin)}"
            pictures.unreadable.append(f"{name}: {error.what}")


def _with_whole_words(entity: Entity, words: Sequence[Span], text: str) -> str:
    """The text of the entity, extended to whole words."""
    touched = [(start, end) for start, end in words if start < entity.end and end > entity.start]
    whole = [(entity.start, entity.end), *touched]
    return text[min(start for start, _ in whole) : max(end for _, end in whole)]


def _digest(text: str) -> Digest:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _location(post: Post, entity: Entity, format_: Format) -> str:
    """Line of the entity's first token in an IMGID file; elsewhere the post's."""
    file, _, line = _short(post.origin).rpartition(":")
    if format_ == "imgid" and post.tokens:
        index = [start for start, _ in post.tokens].index(entity.start)
        return f"{file}:{int(line) + 1 + index}"
    return f"{file}:{line}"


def _short(origin: str) -> str:
    return Path(origin).name


def _picture_name(post: Post, format_: Format) -> str:
    if format_ == "imgid":
        return str(post.id)
    if format_ == "mnre":
        return str(post.id).rpartition("#")[0]
    return str(post.image) if isinstance(post.image, Path) else ""


def _shared_texts(files: Mapping[str, Mapping[Digest, str]]) -> dict[str, Finding]:
    """Texts that two files share, by "a and b"; ``files`` maps each to the positions of its texts."""
    findings: dict[str, Finding] = defaultdict(Finding)
    for (one, texts), (other, others) in combinations(files.items(), 2):
        for text in texts.keys() & others.keys():
            findings[f"{one} and {other}"].add(f"{texts[text]} and {others[text]}")
    return dict(findings)


def _ambiguous(surfaces: dict[str, set[str]]) -> Finding:
    finding = Finding()
    for surface, types in surfaces.items():
        if len(types) > 1:
            finding.add(f"{surface!r}: {', '.join(sorted(types))}")
    return finding


def to_dict(report: CheckReport) -> dict[str, Any]:
    """The report as plain data for JSON."""
    return {**_plain(report), "exit_code": report.exit_code}


def _plain(value: Any) -> Any:  # `dataclasses.asdict` breaks a Counter before Python 3.12
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
